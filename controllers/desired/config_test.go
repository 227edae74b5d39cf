package desired

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/apiserver/page"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/keyring"
)

// load reads a role's configuration as the processes do, with the files at the
// paths of the pods.
func load(t *testing.T, n *Node, role Role) app.Config {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, f := range append(n.MySQLFiles(), n.ReplicaFiles()...) {
		write(filepath.Join(mysqlDir, f.Name), string(n.Inputs.MySQL[f.Name])+"\n")
	}
	for _, f := range n.RedisFiles() {
		write(filepath.Join(redisDir, f.Name), string(n.Inputs.Redis[f.Name])+"\n")
	}
	path := write(configFile, strings.ReplaceAll(n.Config(role), configDir, root))
	c, err := config.Load(app.Default(), path, []string{})
	if err != nil {
		t.Fatalf("%s: %v\n%s", role, err, n.Config(role))
	}
	return c
}

func TestConfigIsAccepted(t *testing.T) {
	t.Parallel()
	for _, manifest := range []*Node{sample(t, "minimal"), sample(t, "production"), sample(t, "evaluation"), node(t, overrides), node(t, connections), rotated(t)} {
		for _, role := range []Role{API, Workers, Migration, Whitelist} {
			c := load(t, manifest, role)
			if role == API || role == Workers {
				if err := c.Replicable(); err != nil {
					t.Errorf("%s: %v", role, err)
				}
			}
		}
	}
}

// TestSchemaDefaultsMatchTheProcesses compares the defaults of the schema with the defaults of the
// processes. A minimal resource must have the same effect as an empty configuration file.
func TestSchemaDefaultsMatchTheProcesses(t *testing.T) {
	t.Parallel()
	n := sample(t, "minimal")
	api, workers, want := load(t, n, API), load(t, n, Workers), app.Default()
	if api.Contracts != want.Contracts {
		t.Errorf("contracts are %+v, want %+v", api.Contracts, want.Contracts)
	}
	if workers.Inventory != want.Inventory {
		t.Errorf("the inventory is %+v, want %+v", workers.Inventory, want.Inventory)
	}
	if workers.Worker != want.Worker {
		t.Errorf("the worker is %+v, want %+v", workers.Worker, want.Worker)
	}
	if h := api.Heartbeat; h.Type != want.Heartbeat.Type || h.CheckFraction != want.Heartbeat.CheckFraction || h.Challenges != want.Heartbeat.Challenges {
		t.Errorf("the heartbeat is %+v, want %+v", h, want.Heartbeat)
	}
	if api.API.DrainDelay != want.API.DrainDelay || api.API.ShutdownTimeout != want.API.ShutdownTimeout {
		t.Errorf("the API drains for %v and %v", api.API.DrainDelay, api.API.ShutdownTimeout)
	}
	if api.Redis.Queue != want.Redis.Queue || api.Access.Signatures != want.Access.Signatures {
		t.Errorf("%+v %+v", api.Redis, api.Access)
	}
}

func TestConfigFollowsTheSpec(t *testing.T) {
	t.Parallel()
	api := load(t, sample(t, "production"), API)
	if len(api.API.TrustedProxies) != 1 || api.API.RateLimits.PerIP != (apiserver.RateLimit{Rate: 20, Burst: 100}) {
		t.Errorf("%+v", api.API)
	}
	if api.Geo.File != geoVolumeDir+"/GeoLite2-City.mmdb" || !api.Access.Whitelist || api.Access.MinBalance != 10000 {
		t.Errorf("%+v %+v", api.Geo, api.Access)
	}
	for _, role := range []Role{API, Workers} {
		if s := load(t, node(t, overrides), role).Score; s.HalfLife != 240*time.Hour || s.MinOnline != 0.95 || s.MinCorrect != 0.999 {
			t.Errorf("%+v", s)
		}
	}
	if c := load(t, node(t, overrides), API).Page; c != (page.Config{Name: "The farm", Contact: "operator@example.org", Announcement: "New disks on Sunday"}) {
		t.Errorf("%+v", c)
	}
	if c := load(t, node(t, overrides), API); c.API.DrainDelay != 0 || c.API.ShutdownTimeout != 25*time.Second {
		t.Errorf("%+v", c.API)
	}
	for _, role := range []Role{API, Workers} {
		if i := load(t, node(t, overrides), role).Inventory.Inventory(); i.Redundancy != 3 {
			t.Errorf("%+v", i)
		}
	}
	if d := load(t, node(t, overrides), Workers).Heartbeat.Detection; d != (keyring.DetectionConfig{Lost: 0.01, Within: 76800 * time.Second, Probability: 0.99}) {
		t.Errorf("%+v", d)
	}
}

// TestGracePeriodIsLongEnough checks that the kubelet does not kill a process
// before its own timeouts end.
func TestGracePeriodIsLongEnough(t *testing.T) {
	t.Parallel()
	for _, n := range []*Node{sample(t, "minimal"), node(t, overrides)} {
		api, workers := load(t, n, API).API, load(t, n, Workers).Worker
		two := int32(2)
		grace := func(seconds int64) time.Duration { return time.Duration(seconds) * time.Second }
		if got := grace(*n.APIDeployment(&two).Spec.Template.Spec.TerminationGracePeriodSeconds); got <= api.DrainDelay+api.ShutdownTimeout {
			t.Errorf("an API pod is killed after %v", got)
		}
		if got := grace(*n.WorkersDeployment(1).Spec.Template.Spec.TerminationGracePeriodSeconds); got <= workers.DrainTimeout {
			t.Errorf("a worker is killed after %v", got)
		}
	}
}

// TestHashes checks which names and hashes each edit changes.
func TestHashes(t *testing.T) {
	t.Parallel()
	hashes := func(n *Node) map[string]string {
		return map[string]string{
			"api": n.configHash(API), "workers": n.configHash(Workers),
			"migration": n.MigrationName(), "whitelist": n.WhitelistName(),
		}
	}
	tests := []hashTest{
		{"nothing", func(*Node) {}, ""},
		{"replicas", func(n *Node) { *n.Spec.API.Replicas = 9; n.Spec.Workers.Replicas = nil }, ""},
		{"metadata", func(n *Node) { n.Labels("api")["x"] = "y"; n.Annotations = map[string]string{"x": "y"} }, ""},
		{"proxies", func(n *Node) { n.Spec.API.TrustedProxies = []string{"10.1.0.0/16"} }, "api"},
		{"inventory", func(n *Node) { n.Spec.Inventory.TotalSize = "2Gi" }, "workers"},
		{"redundancy", func(n *Node) { n.Spec.Inventory.Redundancy = 3 }, "api workers"},
		{"interval", func(n *Node) { n.Spec.Contracts.IntervalSeconds = 60 }, "api workers"},
		{"image", func(n *Node) { n.Spec.Image = "other" }, "migration"},
		{"log", func(n *Node) { n.Spec.Log.Level = "debug" }, "api workers"},
		{"password", func(n *Node) { n.Inputs.MySQL["dsn"] = []byte("user:p/@?@tcp(mysql:3306)/downstream?tls=true") }, "api migration workers"},
		{"server", func(n *Node) { n.Inputs.MySQL["dsn"] = []byte("user:password@tcp(other:3306)/downstream") }, "api migration whitelist workers"},
		{"database", func(n *Node) { n.Inputs.MySQL["dsn"] = []byte("user:password@tcp(mysql:3306)/other") }, "api migration whitelist workers"},
		{"password of the replica", func(n *Node) { n.Inputs.MySQL["readDSN"] = []byte("other") }, "api"},
		{"Redis", func(n *Node) { n.Inputs.Redis["url"] = []byte("other") }, "api workers"},
		{"whitelist", func(n *Node) { n.Inputs.Whitelist = []byte("other") }, "whitelist"},
		{"older key", func(n *Node) { n.Inputs.Keys = append(n.Inputs.Keys, Key{1, []byte("other")}) }, "api workers"},
		{"newer key", func(n *Node) { n.Inputs.Keys = append([]Key{{1, []byte("other")}}, n.Inputs.Keys...) }, "api migration whitelist workers"},
		{"compromised key", func(n *Node) { n.Spec.Heartbeat.Compromised = []v1.Fingerprint{"0123456789ab"} }, "api workers"},
	}
	byParts := []hashTest{
		{"password by itself", func(n *Node) { n.Inputs.MySQL["password"] = []byte("other") }, "api migration workers"},
		{"authorities", func(n *Node) { n.Inputs.MySQL["ca"] = []byte("other") }, "api migration workers"},
		{"private key", func(n *Node) { n.Inputs.MySQL["key"] = []byte("other") }, "api migration workers"},
		{"host", func(n *Node) { n.Spec.MySQL.Connection.Hosts[1] = "other" }, "api migration whitelist workers"},
		{"database", func(n *Node) { n.Spec.MySQL.Connection.Database = "other" }, "api migration whitelist workers"},
		{"password of Redis", func(n *Node) { n.Inputs.Redis["password"] = []byte("other") }, "api workers"},
		{"password of the Sentinels", func(n *Node) { n.Inputs.Redis["sentinelPassword"] = []byte("other") }, "api workers"},
		{"master", func(n *Node) { n.Spec.Redis.Connection.MasterName = "other" }, "api workers"},
	}
	run := func(tests []hashTest, build func() *Node) {
		before := hashes(build())
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				n := build()
				tt.edit(n)
				after := hashes(n)
				var changed []string
				for _, name := range []string{"api", "migration", "whitelist", "workers"} {
					if before[name] != after[name] {
						changed = append(changed, name)
					}
				}
				if got := strings.Join(changed, " "); got != tt.want {
					t.Errorf("it changes %q, want %q", got, tt.want)
				}
			})
		}
	}
	run(tests, func() *Node {
		n := sample(t, "production")
		n.Spec.MySQL.ReadDSNSecretRef = &v1.DSNRef{}
		return n
	})
	run(byParts, func() *Node { return node(t, connections) })
}

// hashTest is an edit of a node, and the names and hashes that it changes.
type hashTest struct {
	name string
	edit func(*Node)
	want string
}
