// Package clock is the one clock of a node: the clock of its database. Each process
// measures how far the database's clock is ahead of its own, and applies the
// difference to every time that it uses. So processes on machines with different
// clocks agree about deadlines, arrivals and due times.
//
// The invariant: the time that a [Clock] returns never decreases, and a step of the
// machine's clock does not change it. Between two measurements only the monotonic
// clock of the machine counts.
package clock

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	every    = 5 * time.Second // time between two measurements
	warnFrom = time.Second
	maxSkew  = 10 * time.Second // above this, the process is not ready
	// resolution is the resolution of the coarsest database clock, SQLite's.
	resolution = time.Millisecond
)

// Clock returns the database's time. It is safe for concurrent use. Before the first
// measurement it returns the machine's time.
type Clock struct {
	read func(context.Context) (time.Time, error)
	log  *slog.Logger
	wall func() time.Time     // the machine's clock, which may be wrong and may be stepped
	mono func() time.Duration // the machine's monotonic clock

	mu       sync.Mutex
	measured bool
	base     time.Time // the clock's time when mono was at
	at       time.Duration
	ahead    time.Duration // how far base is ahead of the database's clock
	skew     time.Duration // how far the machine's clock is ahead of the database's clock
}

// New returns a clock. read must return the database's time.
func New(read func(context.Context) (time.Time, error), log *slog.Logger) *Clock {
	start := time.Now()
	return newClock(read, log, machineTime, func() time.Duration { return time.Since(start) })
}

// machineTime is the machine's clock. The fault tests shift it.
var machineTime = time.Now

func newClock(read func(context.Context) (time.Time, error), log *slog.Logger, wall func() time.Time, mono func() time.Duration) *Clock {
	return &Clock{read: read, log: log, wall: wall, mono: mono, base: wall().UTC().Round(0), at: mono()}
}

// Now returns the database's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.timeAt(c.mono())
}

// timeAt returns the time at a monotonic time. While the clock is ahead of the
// database's clock, it runs at half speed.
func (c *Clock) timeAt(at time.Duration) time.Time {
	elapsed := at - c.at
	return c.base.Add(elapsed - min(elapsed/2, c.ahead))
}

// Run measures the difference to the database's clock until ctx ends.
func (c *Clock) Run(ctx context.Context) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		// If the database is unavailable, the clock continues. The readiness check of
		// the database reports the error.
		if err := c.Measure(ctx); err != nil && ctx.Err() == nil {
			c.log.Debug("cannot read the database's clock", "error", err)
		}
	}
}

// Measure measures the difference to the database's clock. The first measurement sets
// the clock, even back, so it must come before any use of the clock that matters.
func (c *Clock) Measure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, every)
	defer cancel()
	before, wall := c.mono(), c.wall()
	database, err := c.read(ctx)
	if err != nil {
		return err
	}
	after := c.mono()
	half := (after - before) / 2 // the database read its clock at this time after before, at most half earlier or later
	skew := wall.Round(0).Add(half).Sub(database)
	old := c.adopt(database.UTC().Round(0).Add(half), after, half+resolution, skew)
	if (old.Abs() > warnFrom) != (skew.Abs() > warnFrom) {
		c.report(skew)
	}
	return nil
}

// adopt sets the clock to a time that was measured at the monotonic time at. A
// difference up to the measurement's uncertainty changes nothing. adopt returns the
// skew of the previous measurement.
func (c *Clock) adopt(measured time.Time, at, uncertainty, skew time.Duration) (old time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.mono()
	current, target := c.timeAt(now), measured.Add(now-at)
	behind := target.Sub(current)
	switch {
	case !c.measured || behind > uncertainty:
		c.base, c.at, c.ahead = target, now, 0
	case behind < -uncertainty:
		c.base, c.at, c.ahead = current, now, -behind
	}
	c.measured = true
	old, c.skew = c.skew, skew
	return old
}

func (c *Clock) report(skew time.Duration) {
	if skew.Abs() > warnFrom {
		c.log.Warn("this machine's clock differs from the database's clock, which the node uses; synchronize this machine's clock with NTP", "ahead", skew.String())
		return
	}
	c.log.Info("this machine's clock agrees with the database's clock again", "ahead", skew.String())
}

// Skew returns how far the machine's clock is ahead of the database's clock.
func (c *Clock) Skew() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.skew
}

// Check is the readiness check of the machine's clock.
func (c *Clock) Check(context.Context) error {
	skew := c.Skew()
	if skew.Abs() <= maxSkew {
		return nil
	}
	direction := "ahead of"
	if skew < 0 {
		direction = "behind"
	}
	return fmt.Errorf("this machine's clock is %v %s the database's clock, and at most %v is permitted; synchronize both machines with NTP, for example with chrony",
		skew.Abs().Round(100*time.Millisecond), direction, maxSkew)
}

// Collector returns the clock's metric.
func (c *Clock) Collector() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "downstream_clock_offset_seconds",
		Help: "How far this machine's clock is ahead of the database's clock, which the node uses. Negative if it is behind.",
	}, func() float64 { return c.Skew().Seconds() })
}
