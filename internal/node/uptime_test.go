package node

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestUptime(t *testing.T) {
	t.Parallel()
	type lifetime struct{ from, to int } // seconds after start
	tests := []struct {
		name      string
		lifetimes []lifetime // sorted by from
		at        int
		want      float64
		online    bool
	}{
		{"never had a contract", nil, 100, 0, false},
		{"at the first hand-out", []lifetime{{0, 10}}, 0, 100, true},
		{"online", []lifetime{{0, 10}}, 5, 100, true},
		{"at the end", []lifetime{{0, 10}}, 10, 100, false},
		{"offline", []lifetime{{0, 10}}, 40, 25, false},
		{"one contract within another", []lifetime{{0, 10}, {2, 5}}, 20, 50, false},
		{"overlapping", []lifetime{{0, 10}, {5, 15}}, 20, 75, false},
		{"touching", []lifetime{{0, 10}, {10, 20}}, 40, 50, false},
		{"a gap", []lifetime{{0, 10}, {20, 30}}, 40, 50, false},
		{"online after a gap", []lifetime{{0, 10}, {30, 50}}, 40, 50, true},
		{"two gaps", []lifetime{{0, 1}, {2, 3}, {4, 5}}, 5, 60, false},
		{"the future does not count", []lifetime{{0, 10}, {20, 1000}}, 20, 50, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var u Uptime
			for _, l := range tt.lifetimes {
				u.Extend(second(l.from), second(l.to))
			}
			if got := u.Percent(second(tt.at)); math.Abs(got-tt.want) > 1e-9 {
				t.Errorf("uptime %v%%, want %v%%", got, tt.want)
			}
			if got := u.Online(second(tt.at)); got != tt.online {
				t.Errorf("online %t", got)
			}
		})
	}
}

func second(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }

// The test compares Uptime with a list of all seconds.
func TestUptimeIsTheUnionOfLifetimes(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 8))
	for range 2000 {
		const end = 300
		var (
			u     Uptime
			alive [end]bool
			now   = rng.IntN(20)
			since = now
		)
		for now < end {
			expiry := now + 1 + rng.IntN(25)
			u.Extend(second(now), second(expiry))
			for s := now; s < min(expiry, end); s++ {
				alive[s] = true
			}
			look := now + rng.IntN(end-now)
			next := now + rng.IntN(30)
			if look <= next && look > since { // no contract starts before look
				if got, want := u.Percent(second(look)), share(alive[since:look]); math.Abs(got-want) > 1e-9 {
					t.Fatalf("at %d: %v%%, want %v%%", look, got, want)
				}
				if u.Online(second(look)) != alive[look] {
					t.Fatalf("at %d: online %t", look, !alive[look])
				}
			}
			now = next
		}
	}
}

func share(alive []bool) float64 {
	n := 0
	for _, a := range alive {
		if a {
			n++
		}
	}
	return 100 * float64(n) / float64(len(alive))
}

func TestUptimeOverTheLastDays(t *testing.T) {
	t.Parallel()
	days := []Day{{Online: 0, Possible: 100}, {Online: 50, Possible: 100}, {Online: 10, Possible: 10}, {}}
	for _, test := range []struct {
		last  int
		want  float64
		known bool
	}{
		{1, 100, false}, // no possible time
		{2, 100, true},
		{3, 100 * 60. / 110, true}, // a day counts by its possible time
		{4, 100 * 60. / 210, true},
		{90, 100 * 60. / 210, true}, // more days than there are
	} {
		if got, known := UptimeOver(days, test.last); got != test.want || known != test.known {
			t.Errorf("the last %d days: %v, %v; want %v, %v", test.last, got, known, test.want, test.known)
		}
	}
}
