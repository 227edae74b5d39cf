package config_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
)

func TestVariables(t *testing.T) {
	t.Parallel()
	c := app.Default()
	seen := make(map[string]string)
	for _, f := range config.Fields(&c) {
		if !regexp.MustCompile(`^DOWNSTREAM_[A-Z0-9_]+$`).MatchString(f.Env) || strings.Contains(f.Env, "__") {
			t.Errorf("%s has the variable %s", f.Key, f.Env)
		}
		// Kubernetes sets environment variables for each Service in the namespace.
		// These variables must not set a value of the configuration.
		if config.ServiceVariable.MatchString(f.Env) {
			t.Errorf("%s has the form of a Service's variable", f.Env)
		}
		if other, ok := seen[f.Env]; ok {
			t.Errorf("%s is the variable of %s and %s", f.Env, other, f.Key)
		}
		seen[f.Env] = f.Key
	}
	for env, key := range map[string]string{
		"DOWNSTREAM_API_LISTEN":              "api.listen",
		"DOWNSTREAM_API_TLS_CERT_FILE":       "api.tls.certFile",
		"DOWNSTREAM_CONTRACTS_TOKENS_PER_IP": "contracts.tokensPerIP",
		"DOWNSTREAM_DATABASE_DSN_FILE":       "database.dsnFile",
		"DOWNSTREAM_DATABASE_READ_DSN_FILE":  "database.readDSNFile",
		"DOWNSTREAM_REDIS_SENTINEL_PASSWORD": "redis.sentinelPassword",
	} {
		if seen[env] != key {
			t.Errorf("%s is the variable of %q, want %s", env, seen[env], key)
		}
	}
}

func TestEverySecretHasAFile(t *testing.T) {
	t.Parallel()
	c := app.Default()
	keys := make(map[string]bool)
	for _, f := range config.Fields(&c) {
		keys[f.Key] = true
	}
	for _, f := range config.Fields(&c) {
		if f.Secret() && !keys[f.Key+"File"] {
			t.Errorf("the key %sFile does not exist", f.Key)
		}
	}
}
