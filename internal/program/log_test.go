package program_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/driveshare/downstream-node/internal/program"
)

// TestRepeatedWarnings lets a loop fail every second for 65 s, as it does in an outage.
func TestRepeatedWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := program.NewLogger(program.LogConfig{Format: "text"}, &out)
		for i := range 65 {
			err := fmt.Errorf("dial tcp 127.0.0.1:%d: connection refused", 40000+i)
			log.Warn("cannot read jobs", "error", err)
			log.With("duty", "sweep").Warn("cannot sweep", "error", err)
			time.Sleep(time.Second)
		}
		for _, message := range []string{`msg="cannot read jobs"`, `msg="cannot sweep" duty=sweep`} {
			var lines []string
			for line := range strings.Lines(out.String()) {
				if strings.Contains(line, message) {
					lines = append(lines, strings.TrimSpace(line))
				}
			}
			if len(lines) != 3 {
				t.Fatalf("%d lines with %s, want 3", len(lines), message)
			}
			if strings.Contains(lines[0], "repeated") || !strings.HasSuffix(lines[1], "repeated=29") || !strings.HasSuffix(lines[2], "repeated=29") {
				t.Errorf("the lines are %q", lines)
			}
		}
	})
}

// TestWarningsThatDiffer checks what is never left out.
func TestWarningsThatDiffer(t *testing.T) {
	var out bytes.Buffer
	log := program.NewLogger(program.LogConfig{Format: "json", Level: slog.LevelDebug}, &out)
	log.Warn("cannot read jobs", "error", errors.New("connection refused"))
	log.Warn("cannot read jobs", "error", errors.New("WRONGPASS"))
	log.Warn("cannot reply", "error", errors.New("connection refused"))
	for range 2 {
		log.Error("cannot judge job, moving it to the dead letters", "error", errors.New("x"))
		log.Warn("a planned maintenance has begun")
		log.Info("cannot happen")
	}
	for i := range 150 { // more than are remembered
		log.Warn(fmt.Sprint("cannot do ", i))
	}
	if n := strings.Count(out.String(), "\n"); n != 3+2*3+150 {
		t.Errorf("%d lines", n)
	}
}
