package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
)

func TestByteSize(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want config.ByteSize
		out  string
	}{
		{"0", 0, "0"},
		{"1", 1, "1"},
		{"32768", 32768, "32KiB"},
		{"1KiB", 1024, "1KiB"},
		{"1KB", 1000, "1000"},
		{"1.5MiB", 3 << 19, "1536KiB"},
		{"1 GiB", 1 << 30, "1GiB"},
		{"1TiB", 1 << 40, "1024GiB"},
		{"9007199254740993", 1<<53 + 1, "9007199254740993"},
		{"9223372036854775807", math.MaxInt64, "9223372036854775807"},
	}
	for _, tt := range tests {
		var got config.ByteSize
		if err := got.UnmarshalText([]byte(tt.text)); err != nil {
			t.Errorf("%q: %v", tt.text, err)
		}
		if got != tt.want || got.String() != tt.out {
			t.Errorf("%q is %d, printed %s, want %d, printed %s", tt.text, got, got, tt.want, tt.out)
		}
	}
	for _, text := range []string{"", "-1", "-1KiB", "KiB", "1 apple", "9223372036854775808", "16EiB", "1e3"} {
		var got config.ByteSize
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is parsed as %d", text, got)
		}
	}
}

func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	c := app.Default()
	for _, f := range config.Fields(&c) {
		if f.Secret() {
			f.Value.SetString(secret)
		}
	}
	redacted, err := config.Redacted(c)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("m", "config", c, "url", c.Redis.Server.URL)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("m", "config", c, "url", c.Redis.Server.URL)
	for name, text := range map[string]string{
		"Redacted": string(redacted),
		"JSON":     string(asJSON),
		"slog":     logged.String(),
		"%v":       fmt.Sprintf("%v", c),
		"%+v":      fmt.Sprintf("%+v", &c),
		"%#v":      fmt.Sprintf("%#v", c),
		"%s":       fmt.Sprintf("%s %q", c.Redis.Server.URL, c.Redis.Server.URL),
		"Validate": fmt.Sprint(config.Validate(&c)),
	} {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows a secret", name)
		}
	}
	if !strings.Contains(string(redacted), "dsn: '"+config.Mask+"'") {
		t.Errorf("Redacted does not show the mask:\n%s", redacted)
	}
}
