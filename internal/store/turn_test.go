package store

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTakeTurn(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		stores := []*Store{f.Store, openStore(t, f.cfg)}
		take := func(what string, now time.Time) (taken int64) {
			var n atomic.Int64
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() {
					ok, err := stores[i%2].TakeTurn(t.Context(), what, time.Minute, now)
					if err != nil {
						t.Error(err)
					}
					if ok {
						n.Add(1)
					}
				})
			}
			wg.Wait()
			return n.Load()
		}
		for _, c := range []struct {
			name string
			what string
			now  time.Time
			want int64
		}{
			{"first", "sweep", start, 1},
			{"soon after", "sweep", start.Add(59 * time.Second), 0},
			{"other work", "clean", start.Add(59 * time.Second), 1},
			{"after the interval", "sweep", start.Add(time.Minute), 1},
			{"clock a little behind", "sweep", start.Add(30 * time.Second), 0},
			{"clock set back", "sweep", start.Add(-time.Hour), 1},
		} {
			if n := take(c.what, c.now); n != c.want {
				t.Errorf("%s: taken %d times, want %d", c.name, n, c.want)
			}
		}
	})
}
