package config

import (
	"slices"
	"testing"
)

func TestUnknownVariables(t *testing.T) {
	t.Parallel()
	got := UnknownVariables([]string{
		"DOWNSTREAM_API_LISTEN=:1", "DOWNSTREAM_CONFIG=node.yaml", "HOME=/root", "DOWNSTREAM_EMPTY=",
		"DOWNSTREAM_API_SERVICE_HOST=10.0.0.1", "DOWNSTREAM_API_PORT_5000_TCP_ADDR=10.0.0.1", "DOWNSTREAM_API_PORT=tcp://10.0.0.1:5000",
		"DOWNSTREAM_API_PRIVATELISTEN=:2",
	})
	if want := []string{"DOWNSTREAM_API_PRIVATELISTEN"}; !slices.Equal(got, want) {
		t.Errorf("unknown: %v, want %v", got, want)
	}
}
