package config

import (
	"regexp"
	"strings"
	"testing"
)

func TestVariables(t *testing.T) {
	t.Parallel()
	// What Kubernetes adds for each Service of a namespace; one by the name of
	// downstream-... must not set a value of ours.
	c := Default()
	seen := make(map[string]string)
	for _, f := range Fields(&c) {
		if !regexp.MustCompile(`^DOWNSTREAM_[A-Z0-9_]+$`).MatchString(f.Env) || strings.Contains(f.Env, "__") {
			t.Errorf("%s has the variable %s", f.Key, f.Env)
		}
		if serviceVariable.MatchString(f.Env) {
			t.Errorf("%s could come from a Service", f.Env)
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
		"DOWNSTREAM_REDIS_SENTINEL_PASSWORD": "redis.sentinelPassword",
	} {
		if seen[env] != key {
			t.Errorf("%s is the variable of %q, want %s", env, seen[env], key)
		}
	}
}

func TestEverySecretHasAFile(t *testing.T) {
	t.Parallel()
	c := Default()
	keys := make(map[string]bool)
	for _, f := range Fields(&c) {
		keys[f.Key] = true
	}
	for _, f := range Fields(&c) {
		if f.Secret() && !keys[f.Key+"File"] {
			t.Errorf("there is no %sFile", f.Key)
		}
	}
}
