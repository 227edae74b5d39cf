package desired

import (
	"fmt"
	"path"
	"time"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/api/v1alpha1"
)

// The files that pods read.
const (
	configDir     = "/etc/downstream"
	configFile    = "config.yaml"
	dsnFile       = "mysql/dsn"
	redisFile     = "redis/url"
	keyFile       = "heartbeat/heartbeat.json"
	whitelistFile = "whitelist/whitelist.csv"
	geoFile       = "geoip/City.mmdb"
	geoVolumeDir  = "/var/lib/downstream/geoip"
)

// section is a part of the configuration file.
type section = map[string]any

// keyFiles is where pods find the heartbeat key.
var keyFiles = []string{path.Join(configDir, keyFile)}

// Config is the configuration file of a role. It says only what follows from
// the spec, so that an image which knows more or fewer keys than the operator
// takes it all the same, and only what the role reads, so that an edit for the
// API leaves the workers alone.
func (n *Node) Config(role Role) string {
	config := section{
		"node":     section{"name": n.RedisName()},
		"log":      section{"level": n.Spec.Log.Level},
		"database": section{"driver": "mysql", "dsnFile": path.Join(configDir, dsnFile)},
	}
	if role != Migration {
		config["redis"] = section{"urlFile": path.Join(configDir, redisFile), "maxQueue": n.Spec.Redis.MaxQueue}
		config["access"] = n.access()
	}
	switch role {
	case Migration:
		config["heartbeat"] = section{"keyFiles": keyFiles} // whether the database is of this key
	case API, Workers:
		config["heartbeat"] = n.heartbeat()
		config["contracts"] = n.contracts()
	}
	switch role {
	case API:
		config["api"] = n.api()
		if file := n.geoFile(); file != "" {
			config["geo"] = section{"file": file}
		}
	case Workers:
		config["worker"] = n.worker()
		config["inventory"] = n.inventory()
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		panic(fmt.Sprintf("desired: marshal the configuration: %v", err)) // not possible: it is maps, texts and numbers
	}
	return string(text)
}

func (n *Node) heartbeat() section {
	return section{
		"type":          n.Spec.Heartbeat.Type,
		"checkFraction": n.Spec.Heartbeat.CheckFraction.Float64(),
		"challenges":    n.Spec.Heartbeat.Challenges,
		"keyFiles":      keyFiles,
	}
}

func (n *Node) contracts() section {
	c := n.Spec.Contracts
	return section{
		"interval":            seconds(c.IntervalSeconds),
		"tokensPerIP":         c.TokensPerIP,
		"contractsPerRequest": c.ContractsPerRequest,
		"bytesPerAddress":     c.BytesPerAddress.Bytes(),
		"messageLength":       c.MessageLength,
		"wrongAnswers":        c.WrongAnswers,
	}
}

func (n *Node) access() section {
	access := section{
		"signatures": deref(n.Spec.Access.Signatures, true),
		"whitelist":  n.Spec.Whitelist != nil,
	}
	if w := n.Spec.Whitelist; w != nil {
		access["minBalance"] = deref(w.MinBalance, 0)
	}
	return access
}

func (n *Node) api() section {
	a := n.Spec.API
	api := section{
		"listen":          fmt.Sprintf(":%d", farmersPort),
		"privateListen":   fmt.Sprintf(":%d", privatePort),
		"drainDelay":      seconds(deref(a.DrainDelaySeconds, 0)),
		"shutdownTimeout": seconds(a.ShutdownTimeoutSeconds),
	}
	if len(a.TrustedProxies) > 0 {
		api["trustedProxies"] = a.TrustedProxies
	}
	limits := section{}
	for key, limit := range map[string]*v1alpha1.RateLimit{"perIP": a.RateLimits.PerIP, "perToken": a.RateLimits.PerToken} {
		if limit != nil {
			limits[key] = section{"rate": limit.Rate, "burst": limit.Burst}
		}
	}
	if len(limits) > 0 {
		api["rateLimits"] = limits
	}
	return api
}

func (n *Node) worker() section {
	return section{
		"privateListen": fmt.Sprintf(":%d", privatePort),
		"concurrency":   n.Spec.Workers.Concurrency,
		"drainTimeout":  seconds(n.Spec.Workers.DrainTimeoutSeconds),
	}
}

func (n *Node) inventory() section {
	i := n.Spec.Inventory
	return section{
		"minChunkSize": i.MinChunkSize.Bytes(),
		"maxChunkSize": i.MaxChunkSize.Bytes(),
		"totalSize":    i.TotalSize.Bytes(),
		"base":         i.Base.Float64(),
		"encoders":     i.Encoders,
	}
}

// geoFile is where the API finds the location database, if there is one.
func (n *Node) geoFile() string {
	switch g := n.Spec.GeoIP; {
	case g == nil:
		return ""
	case g.VolumeClaim != nil:
		return path.Join(geoVolumeDir, g.VolumeClaim.Path)
	default:
		return path.Join(configDir, geoFile)
	}
}

// ConfigMap holds the configuration of a role.
func (n *Node) ConfigMap(role Role) *corev1ac.ConfigMapApplyConfiguration {
	return corev1ac.ConfigMap(n.ConfigName(role), n.Namespace).
		WithLabels(n.Labels(role)).
		WithOwnerReferences(n.owner()).
		WithImmutable(true).
		WithData(map[string]string{configFile: n.Config(role)})
}

func seconds(s int32) string { return (time.Duration(s) * time.Second).String() }

func deref[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
