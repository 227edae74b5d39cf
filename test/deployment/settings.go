package deployment

import (
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/internal/config"
)

// Settings are values of the configuration by their keys, such as
// "contracts.interval", written as in the environment.
type Settings map[string]string

// and gives the settings with others laid over them.
func (s Settings) and(others Settings) Settings {
	both := make(Settings, len(s)+len(others))
	maps.Copy(both, s)
	maps.Copy(both, others)
	return both
}

// environ is the environment of a process with these settings and no others.
func (s Settings) environ(t testing.TB) []string {
	t.Helper()
	var environ []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "DOWNSTREAM_") {
			environ = append(environ, entry)
		}
	}
	cfg := config.Default()
	known := 0
	for _, f := range config.Fields(&cfg) {
		if value, ok := s[f.Key]; ok {
			environ = append(environ, f.Env+"="+value)
			known++
		}
	}
	if known != len(s) {
		t.Fatalf("of the settings %v, only %d are in the configuration", s, known)
	}
	return environ
}
