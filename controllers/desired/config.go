package desired

import (
	"fmt"
	"path"
	"time"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/api/v1alpha1"
)

// The paths of the files that pods read.
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

// section is a section of the configuration file.
type section = map[string]any

// keyFiles lists the path of the heartbeat key in a pod.
var keyFiles = []string{path.Join(configDir, keyFile)}

// Config returns the configuration file of a role. The file holds only values from
// the spec, so images of other versions accept it too. It holds only the sections
// that the role reads, so an edit for the API does not replace the workers.
func (n *Node) Config(role Role) string {
	config := section{
		"node":     section{"name": n.RedisName()},
		"log":      section{"level": n.Spec.Log.Level},
		"database": section{"driver": "mysql", "dsnFile": path.Join(configDir, dsnFile)},
	}
	if role != Migration && role != Maintenance {
		config["redis"] = section{"urlFile": path.Join(configDir, redisFile), "maxQueue": n.Spec.Redis.MaxQueue}
		config["access"] = n.access()
	}
	switch role {
	case Migration:
		config["heartbeat"] = section{"keyFiles": keyFiles} // the migration checks that the database has this key
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
		panic(fmt.Sprintf("desired: marshal the configuration: %v", err)) // impossible: every value has a YAML form
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
	contracts := section{
		"interval":            seconds(c.IntervalSeconds),
		"tokensPerIP":         c.TokensPerIP,
		"contractsPerRequest": c.ContractsPerRequest,
		"bytesPerAddress":     c.BytesPerAddress.Bytes(),
		"messageLength":       c.MessageLength,
		"wrongAnswers":        c.WrongAnswers,
	}
	// An older image refuses keys that it does not know, so these have no default.
	if c.UnprovenPerToken != nil {
		contracts["unprovenPerToken"] = *c.UnprovenPerToken
	}
	if c.UnprovenBytesPerToken != "" {
		contracts["unprovenBytesPerToken"] = c.UnprovenBytesPerToken.Bytes()
	}
	if c.InventoryShare != "" {
		contracts["inventoryShare"] = c.InventoryShare.Float64()
	}
	if c.IPv6Prefix != 0 {
		contracts["ipv6Prefix"] = c.IPv6Prefix
	}
	if c.UnusedTokenSeconds != nil {
		contracts["unusedTokenLife"] = seconds(*c.UnusedTokenSeconds)
	}
	return contracts
}

func (n *Node) access() section {
	access := section{
		"signatures": ptr.Deref(n.Spec.Access.Signatures, true),
		"whitelist":  n.Spec.Whitelist != nil,
	}
	if w := n.Spec.Whitelist; w != nil {
		access["minBalance"] = ptr.Deref(w.MinBalance, 0)
	}
	return access
}

func (n *Node) api() section {
	a := n.Spec.API
	api := section{
		"listen":          fmt.Sprintf(":%d", farmersPort),
		"privateListen":   fmt.Sprintf(":%d", PrivatePort),
		"drainDelay":      seconds(ptr.Deref(a.DrainDelaySeconds, 0)),
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
		"privateListen": fmt.Sprintf(":%d", PrivatePort),
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

// geoFile returns the path of the location database in an API pod. The path is empty
// if the spec names no location database.
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
	return owned(n, role, corev1ac.ConfigMap(n.ConfigName(role), n.Namespace)).
		WithImmutable(true).
		WithData(map[string]string{configFile: n.Config(role)})
}

func seconds(s int32) string { return (time.Duration(s) * time.Second).String() }
