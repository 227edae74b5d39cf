package main

import (
	"bytes"
	"os"
	"testing"
	"time"
)

func TestPageIsCurrent(t *testing.T) {
	t.Parallel()
	want, err := render("../../..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../../docs/reference/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/reference/configuration.md is not up to date; run go generate ./internal/config")
	}
}

func TestDurationText(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                              "0s",
		3 * time.Millisecond:           "3ms",
		10 * time.Second:               "10s",
		5 * time.Minute:                "5m",
		90 * time.Minute:               "1h30m",
		720 * time.Hour:                "720h",
		time.Hour + 10*time.Second:     "1h0m10s",
		10*time.Minute + 1*time.Second: "10m1s",
	} {
		if got := durationText(d); got != want {
			t.Errorf("durationText(%d) = %s, want %s", d, got, want)
		}
	}
}
