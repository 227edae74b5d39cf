package clock

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// machine is a machine and a database with their clocks. Real time passes only if the
// test moves it.
type machine struct {
	passed   time.Duration // real time since the start
	wall     time.Duration // how far the machine's clock is ahead of real time
	database time.Duration // how far the database's clock is ahead of real time
	there    time.Duration // latency of the way to the database
	back     time.Duration // latency of the way back
	down     error
	log      bytes.Buffer
	clock    *Clock
}

func newMachine(wall time.Duration) *machine {
	m := &machine{wall: wall, there: time.Millisecond, back: time.Millisecond}
	m.clock = newClock(m.read, slog.New(slog.NewTextHandler(&m.log, nil)),
		func() time.Time { return start.Add(m.passed + m.wall) }, func() time.Duration { return m.passed })
	return m
}

func (m *machine) read(context.Context) (time.Time, error) {
	m.passed += m.there
	now := start.Add(m.passed + m.database)
	m.passed += m.back
	return now, m.down
}

// error returns how far the clock is ahead of the database's clock.
func (m *machine) error() time.Duration {
	return m.clock.Now().Sub(start.Add(m.passed + m.database))
}

func TestClockFollowsTheDatabase(t *testing.T) {
	t.Parallel()
	const s = time.Second
	tests := []struct {
		name    string
		wall    time.Duration            // of the machine's clock at the start
		happens func(m *machine)         // after the first measurement
		after   func(time.Duration) bool // whether the clock's error right after the next measurement is right
		skew    time.Duration
		ready   bool
	}{
		{name: "nothing happens", skew: 0, ready: true},
		{name: "the machine's clock is ahead", wall: 25 * s, skew: 25 * s},
		{name: "the machine's clock is behind", wall: -25 * s, skew: -25 * s},
		{name: "the machine's clock is a little ahead", wall: 5 * s, skew: 5 * s, ready: true},
		{name: "the machine's clock is stepped back", happens: func(m *machine) { m.wall = -25 * s }, skew: -25 * s},
		{name: "the machine's clock is stepped forward", happens: func(m *machine) { m.wall = 3600 * s }, skew: 3600 * s},
		{name: "the machine's clock is corrected", wall: 25 * s, happens: func(m *machine) { m.wall = 0 }, ready: true},
		{name: "the database's clock is stepped forward", happens: func(m *machine) { m.database = 20 * s }, skew: -20 * s},
		{
			name: "the database's clock is stepped back", happens: func(m *machine) { m.database = -2 * s }, skew: 2 * s, ready: true,
			after: func(ahead time.Duration) bool { return 0 < ahead && ahead < 2*s+2*time.Millisecond }, // until it has slowed down
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(tt.wall)
			measure := func() {
				t.Helper()
				if err := m.clock.Measure(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			exact := func(ahead time.Duration) bool { return ahead.Abs() <= 2*time.Millisecond }
			measure()
			if ahead := m.error(); !exact(ahead) {
				t.Fatalf("after the first measurement the clock is %v ahead", ahead)
			}
			last := m.clock.Now()
			pass := func(d time.Duration) {
				t.Helper()
				for range 100 {
					m.passed += d / 100
					now := m.clock.Now()
					if now.Before(last) {
						t.Fatalf("the clock went from %v to %v", last, now)
					}
					last = now
				}
			}
			pass(every)
			if tt.happens != nil {
				tt.happens(m)
			}
			pass(every)
			measure()
			if tt.after == nil {
				tt.after = exact
			}
			if ahead := m.error(); !tt.after(ahead) {
				t.Errorf("the clock is %v ahead of the database's", ahead)
			}
			if now := m.clock.Now(); now.Before(last) {
				t.Errorf("the measurement set the clock back by %v", last.Sub(now))
			}
			if skew := m.clock.Skew(); (skew - tt.skew).Abs() > 2*time.Millisecond {
				t.Errorf("skew %v, want %v", skew, tt.skew)
			}
			if err := m.clock.Check(t.Context()); (err == nil) != tt.ready {
				t.Errorf("ready: %v, want %v", err, tt.ready)
			} else if err != nil && !strings.Contains(err.Error(), "NTP") {
				t.Errorf("%v does not say what to do", err)
			}
			if warned := strings.Contains(m.log.String(), "WARN"); warned != (tt.skew.Abs() > warnFrom || tt.wall.Abs() > warnFrom) {
				t.Errorf("warned %t:\n%s", warned, m.log.String())
			}
			pass(time.Minute) // at half speed, two seconds ahead need four
			measure()
			if ahead := m.error(); !exact(ahead) {
				t.Errorf("after a minute the clock is %v ahead of the database's", ahead)
			}
		})
	}
}

// A slow database makes a measurement inexact. The clock must not jump back and forth
// with the latency, and must continue without the database.
func TestClockIgnoresLatency(t *testing.T) {
	t.Parallel()
	m := newMachine(0)
	if err := m.clock.Measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := m.error()
	for i := range 20 {
		m.there, m.back = time.Duration(i)*50*time.Millisecond, 0
		if i%2 == 0 {
			m.there, m.back = m.back, m.there
		}
		m.passed += every
		if err := m.clock.Measure(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := m.error(); after != before {
			t.Fatalf("latencies %v and %v changed the clock's error from %v to %v", m.there, m.back, before, after)
		}
	}
	m.down = errors.New("no database")
	m.passed += time.Hour
	if err := m.clock.Measure(t.Context()); !errors.Is(err, m.down) {
		t.Errorf("measured without a database: %v", err)
	}
	if after := m.error(); after != before {
		t.Errorf("without the database the clock's error went from %v to %v", before, after)
	}
}
