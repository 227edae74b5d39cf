package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestFileProblems(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file string
		want       []string
	}{
		{"unknown key", "api:\n  lisen: ':1'", []string{"line 2: api.lisen: no such key", "did you mean api.listen?"}},
		{"unknown key in other case", "api: {maxbody: 1}", []string{"did you mean api.maxBody?"}},
		{"unknown key in a nested section", "api: {tls: {cert: x}}", []string{"api.tls.cert: no such key"}},
		{"unknown section", "databse: {}", []string{"databse: no such key; did you mean database?"}},
		{"unknown key like no other", "api: {zzzzzzzz: 1}", []string{"api.zzzzzzzz: no such key"}},
		{"key with dots", "api.listen: ':1'", []string{"api.listen: no such key"}},
		{"key given twice", "api:\n  pprof: true\n  pprof: false", []string{"line 3: api.pprof: is given twice"}},
		{"section given twice", "api: {}\napi: {}", []string{"line 2: api: is given twice"}},
		{"merge key", "api: {<<: {pprof: true}}", []string{"api.<<: no such key"}},
		{"key that is a list", "[a]: 1", []string{"no such key"}},
		{"key without a value", "api: {listen: }", []string{"api.listen: has no value"}},
		{"list in place of the file", "- a", []string{"the file: wants keys and values"}},
		{"value in place of a section", "api: 1", []string{"api: wants keys and values"}},
		{"section in place of a value", "node: {name: {a: b}}", []string{"node.name: wants a single value"}},
		{"value in place of a list", "heartbeat: {keyFiles: a}", []string{"heartbeat.keyFiles: wants a list"}},
		{"list in a list", "heartbeat: {keyFiles: [[a]]}", []string{"heartbeat.keyFiles: wants a list of single values"}},
		{"duration without a unit", "contracts: {interval: 300}", []string{`contracts.interval: "300" is not a duration`}},
		{"truth that is not plain", "api: {pprof: yes}", []string{`api.pprof: "yes" is not true or false`}},
		{"fraction for a count", "api: {maxProofs: 1.5}", []string{`api.maxProofs: "1.5" is not a whole number`}},
		{"count beyond 64 bits", "api: {maxProofs: 99999999999999999999}", []string{"api.maxProofs: "}},
		{"text for a number", "heartbeat: {checkFraction: all}", []string{`heartbeat.checkFraction: "all" is not a number`}},
		{"size", "api: {maxBody: 1Gib/s}", []string{"api.maxBody: ", "is not a size"}},
		{"network", "api: {trustedProxies: [10.0.0.0/8, 10.0.0.1]}", []string{"api.trustedProxies: "}},
		{"log level", "log: {level: loud}", []string{"log.level: "}},
		{"two documents", "api: {}\n---\napi: {}", []string{"more than one YAML document"}},
		{"no YAML", "api: {", []string{"yaml: "}},
		{"several at once", "a: 1\nnode: {name: [x]}\nb: 2", []string{"line 1: a: ", "line 2: node.name: ", "line 3: b: "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(write(t, tt.file), none)
			wantError(t, err, tt.want...)
		})
	}
}

func TestSecretInFileIsRefused(t *testing.T) {
	t.Parallel()
	c := Default()
	for _, f := range Fields(&c) {
		if !f.Secret() {
			continue
		}
		section, name, _ := strings.Cut(f.Key, ".")
		_, err := Load(write(t, section+": {"+name+": hunter2}"), none)
		wantError(t, err, f.Key+": a secret may not be in this file", f.Key+"File", f.Env)
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

func TestAnchors(t *testing.T) {
	t.Parallel()
	c, err := Load(write(t, "api: {rateLimits: {perIP: &l {rate: 2, burst: 4}, perToken: *l}}"), none)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.API.RateLimits.PerToken, (RateLimit{Rate: 2, Burst: 4}); got != want {
		t.Errorf("perToken is %+v, want %+v", got, want)
	}
}

func TestRedactedReadsBack(t *testing.T) {
	t.Parallel()
	c := Default()
	c.Heartbeat.KeyFiles = []string{"a", "b"}
	c.API.MaxBody = 1<<20 + 1
	text, err := c.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Load(write(t, string(text)), none)
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	if !reflect.DeepEqual(got, c) {
		t.Errorf("read back as %+v, want %+v", got, c)
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
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// FuzzFile holds that no file makes the reader panic, and that a file that it
// takes gives a valid configuration that prints and reads back as itself.
func FuzzFile(f *testing.F) {
	printed, err := Default().Redacted()
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
		c := Default()
		if c.setFromYAML(text) != nil || c.Validate() != nil {
			return
		}
		printed, err := c.Redacted()
		if err != nil {
			t.Fatal(err)
		}
		again := Default()
		if err := again.setFromYAML(printed); err != nil {
			t.Fatalf("%v\nin\n%s", err, printed)
		}
		if !reflect.DeepEqual(again, c) {
			t.Errorf("%+v reads back as %+v", c, again)
		}
	})
}
