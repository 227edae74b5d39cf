package desired

import (
	"fmt"
	"path"
	"time"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/api/v1"
)

// The paths of the files that pods read.
const (
	configDir     = "/etc/downstream"
	configFile    = "config.yaml"
	mysqlDir      = "mysql"
	redisDir      = "redis"
	whitelistFile = "whitelist/whitelist.csv"
	geoFile       = "geoip/City.mmdb"
	geoVolumeDir  = "/var/lib/downstream/geoip"
)

// section is a section of the configuration file.
type section = map[string]any

// keyFile returns the path of a heartbeat key below configDir.
func keyFile(rotation int32) string {
	if rotation == 0 {
		return "heartbeat/heartbeat.json"
	}
	return fmt.Sprintf("heartbeat/heartbeat-%d.json", rotation+1)
}

// keyFiles lists the paths of the heartbeat keys in a pod, the newest first.
func (n *Node) keyFiles() []string {
	paths := make([]string, len(n.Inputs.Keys))
	for i, key := range n.Inputs.Keys {
		paths[i] = path.Join(configDir, keyFile(key.Rotation))
	}
	return paths
}

// Config returns the configuration file of a role. The file holds only values from
// the spec, so images of other versions accept it too. It holds only the sections
// that the role reads, so an edit for the API does not replace the workers.
func (n *Node) Config(role Role) string {
	return string(marshal(n.config(role)))
}

func (n *Node) config(role Role) section {
	config := section{
		"node":     section{"name": n.RedisName()},
		"log":      section{"level": n.Spec.Log.Level},
		"database": n.database(),
	}
	if usesRedis(role) {
		config["redis"] = n.redis()
		config["access"] = n.access()
	}
	switch role {
	case Migration, Backup: // both check that the database has no other key
		config["heartbeat"] = section{"keyFiles": n.keyFiles()}
	case API, Workers:
		config["heartbeat"] = n.heartbeat()
		config["contracts"] = n.contracts()
		if score := n.score(); len(score) > 0 {
			config["score"] = score
		}
	}
	switch role {
	case API:
		config["api"] = n.api()
		if page := n.page(); len(page) > 0 {
			config["page"] = page
		}
		nameFiles(config["database"].(section), mysqlDir, n.ReplicaFiles())
		if file := n.geoFile(); file != "" {
			config["geo"] = section{"file": file}
		}
		if redundancy := n.Spec.Inventory.Redundancy; redundancy != 0 { // for /status/redundancy
			config["inventory"] = section{"redundancy": redundancy}
		}
	case Workers:
		config["worker"] = n.worker()
		config["inventory"] = n.inventory()
	}
	return config
}

func marshal(s section) []byte {
	text, err := yaml.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("desired: marshal the configuration: %v", err)) // impossible: every value has a YAML form
	}
	return text
}

func (n *Node) heartbeat() section {
	h := section{
		"type":          n.Spec.Heartbeat.Type,
		"checkFraction": n.Spec.Heartbeat.CheckFraction.Float64(),
		"challenges":    n.Spec.Heartbeat.Challenges,
		"keyFiles":      n.keyFiles(),
	}
	if compromised := n.Spec.Heartbeat.Compromised; len(compromised) > 0 { // an older image refuses this key
		h["compromised"] = compromised
	}
	if d := n.Spec.Heartbeat.Detection; d != nil {
		delete(h, "checkFraction") // the node allows one of the two
		h["detection"] = section{"lost": d.Lost.Float64(), "within": seconds(d.WithinSeconds), "probability": d.Probability.Float64()}
	}
	return h
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

// score holds only the keys that are set, because an older image refuses them.
func (n *Node) score() section {
	s, score := n.Spec.Score, section{}
	if s.HalfLifeHours > 0 {
		score["halfLife"] = seconds(s.HalfLifeHours * 3600)
	}
	if s.MinOnline != "" {
		score["minOnline"] = s.MinOnline.Float64()
	}
	if s.MinCorrect != "" {
		score["minCorrect"] = s.MinCorrect.Float64()
	}
	return score
}

// page holds only the keys that are set, because an older image refuses them.
func (n *Node) page() section {
	p, page := n.Spec.Page, section{}
	for key, text := range map[string]string{"name": p.Name, "contact": p.Contact, "announcement": p.Announcement} {
		if text != "" {
			page[key] = text
		}
	}
	return page
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
	for key, limit := range map[string]*v1.RateLimit{"perIP": a.RateLimits.PerIP, "perToken": a.RateLimits.PerToken} {
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
	inventory := section{
		"minChunkSize": i.MinChunkSize.Bytes(),
		"maxChunkSize": i.MaxChunkSize.Bytes(),
		"totalSize":    i.TotalSize.Bytes(),
		"base":         i.Base.Float64(),
		"encoders":     i.Encoders,
	}
	if i.Redundancy != 0 { // an older image refuses this key
		inventory["redundancy"] = i.Redundancy
	}
	return inventory
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
	data := map[string]string{configFile: n.Config(role)}
	if role == Backup {
		data[resourceFile] = string(n.resource())
	}
	return owned(n, role, corev1ac.ConfigMap(n.ConfigName(role), n.Namespace)).
		WithImmutable(true).
		WithData(data)
}

func seconds(s int32) string { return (time.Duration(s) * time.Second).String() }
