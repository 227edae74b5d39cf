package config_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/keyring"
)

func TestFileProblems(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file string
		want       []string
	}{
		{"unknown key", "api:\n  lisen: ':1'", []string{"line 2: api.lisen: no such key", "did you mean api.listen?"}},
		{"unknown key in another case", "api: {maxbody: 1}", []string{"did you mean api.maxBody?"}},
		{"unknown key in a nested section", "api: {tls: {cert: x}}", []string{"api.tls.cert: no such key"}},
		{"unknown section", "databse: {}", []string{"databse: no such key; did you mean database?"}},
		{"unknown key without a similar key", "api: {zzzzzzzz: 1}", []string{"api.zzzzzzzz: no such key"}},
		{"key with dots", "api.listen: ':1'", []string{"api.listen: no such key"}},
		{"key given twice", "api:\n  pprof: true\n  pprof: false", []string{"line 3: api.pprof: is given twice"}},
		{"section given twice", "api: {}\napi: {}", []string{"line 2: api: is given twice"}},
		{"merge key", "api: {<<: {pprof: true}}", []string{"api.<<: no such key"}},
		{"key that is a list", "[a]: 1", []string{"no such key"}},
		{"key without a value", "api: {listen: }", []string{"api.listen: has no value"}},
		{"list instead of keys", "- a", []string{"the file: must hold keys and values"}},
		{"value instead of a section", "api: 1", []string{"api: must hold keys and values"}},
		{"section instead of a value", "node: {name: {a: b}}", []string{"node.name: must be a single value"}},
		{"value instead of a list", "heartbeat: {keyFiles: a}", []string{"heartbeat.keyFiles: must be a list"}},
		{"list in a list", "heartbeat: {keyFiles: [[a]]}", []string{"heartbeat.keyFiles: must be a list of single values"}},
		{"duration without a unit", "contracts: {interval: 300}", []string{`contracts.interval: "300" is not a duration`}},
		{"yes instead of true", "api: {pprof: yes}", []string{`api.pprof: "yes" is not true or false`}},
		{"fraction instead of a whole number", "api: {maxProofs: 1.5}", []string{`api.maxProofs: "1.5" is not a whole number`}},
		{"number beyond 64 bits", "api: {maxProofs: 99999999999999999999}", []string{"api.maxProofs: "}},
		{"text instead of a fraction", "heartbeat: {detection: {lost: 1%%}}", []string{`heartbeat.detection.lost: "1%%" is not a number such as 0.01 or a percentage such as 1%`}},
		{"text instead of a number", "heartbeat: {checkFraction: all}", []string{`heartbeat.checkFraction: "all" is not a number`}},
		{"invalid size", "api: {maxBody: 1Gib/s}", []string{"api.maxBody: ", "is not a size"}},
		{"invalid network", "api: {trustedProxies: [10.0.0.0/8, 10.0.0.1]}", []string{"api.trustedProxies: "}},
		{"unknown log level", "log: {level: loud}", []string{"log.level: "}},
		{"two documents", "api: {}\n---\napi: {}", []string{"more than one YAML document"}},
		{"not YAML", "api: {", []string{"yaml: "}},
		{"several problems", "a: 1\nnode: {name: [x]}\nb: 2", []string{"line 1: a: ", "line 2: node.name: ", "line 3: b: "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(app.Default(), write(t, tt.file), none)
			wantError(t, err, tt.want...)
		})
	}
}

func TestSecretInFileIsRefused(t *testing.T) {
	t.Parallel()
	c := app.Default()
	for _, f := range config.Fields(&c) {
		if !f.Secret() {
			continue
		}
		section, name, _ := strings.Cut(f.Key, ".")
		_, err := config.Load(app.Default(), write(t, section+": {"+name+": hunter2}"), none)
		wantError(t, err, f.Key+": a secret must not be in this file", f.Key+"File", f.Env)
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

func TestAnchorsAndAliases(t *testing.T) {
	t.Parallel()
	c, err := config.Load(app.Default(), write(t, "api: {rateLimits: {perIP: &l {rate: 2, burst: 4}, perToken: *l}}"), none)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.API.RateLimits.PerToken, (apiserver.RateLimit{Rate: 2, Burst: 4}); got != want {
		t.Errorf("perToken is %+v, want %+v", got, want)
	}
}

func TestRedactedCanBeReadAgain(t *testing.T) {
	t.Parallel()
	c := app.Default()
	c.Heartbeat.KeyFiles = []string{"a", "b"}
	c.API.MaxBody = 1<<20 + 1
	c.Heartbeat.Detection = keyring.DetectionConfig{Lost: 0.07, Within: time.Hour, Probability: 0.999}
	text, err := config.Redacted(c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(app.Default(), write(t, string(text)), none)
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	if !reflect.DeepEqual(got, c) {
		t.Errorf("after reading again: %+v, want %+v", got, c)
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"abc", "", 3},
		{"", "abc", 3},
		{"lisen", "listen", 1},
		{"kitten", "sitting", 3},
	}
	for _, tt := range tests {
		if got := config.Distance(tt.a, tt.b); got != tt.want {
			t.Errorf("config.Distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// FuzzFile checks that no file causes a panic, and that a valid configuration
// does not change when it is printed and read again.
func FuzzFile(f *testing.F) {
	printed, err := config.Redacted(app.Default())
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"", "---", "- a", "api: 1", "api: &a {tls: *a}", "a: &a [*a]", "api: {<<: *x}",
		"? {a: b}\n: c", "api: {listen: !!binary aGk=}", "node: {name: ~}",
		"contracts: {interval: 1h, bytesPerAddress: 1.5GiB}", string(printed),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := app.Default()
		if config.SetFromYAML(&c, text) != nil || config.Validate(&c) != nil {
			return
		}
		printed, err := config.Redacted(c)
		if err != nil {
			t.Fatal(err)
		}
		again := app.Default()
		if err := config.SetFromYAML(&again, printed); err != nil {
			t.Fatalf("%v\nin\n%s", err, printed)
		}
		if !reflect.DeepEqual(again, c) {
			t.Errorf("%+v becomes %+v", c, again)
		}
	})
}
