package queue

import (
	"errors"
	"testing"

	"github.com/driveshare/downstream-node/internal/redisdb/redistest"
)

// Several calls share a round trip. Each call must be added or refused as a whole.
func TestEnqueueTogether(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		const calls, room = 300, 200
		q := open(t, s, func(o *options) { o.MaxQueue = room })
		size := func(call int) int { return 1 + call%3 }
		type answer struct {
			call int
			err  error
		}
		answers := make(chan answer, calls)
		for call := range calls {
			go func() {
				jobs := make([]Job, size(call))
				for i := range jobs {
					jobs[i] = aJob(ID{}, 1)
					jobs[i].TokenID = int64(call)
				}
				answers <- answer{call, q.Enqueue(t.Context(), jobs...)}
			}()
		}
		added := map[int64]int{} // number of jobs whose call returned success, by call
		sum := 0
		for range calls {
			a := <-answers
			switch {
			case a.err == nil:
				added[int64(a.call)] = size(a.call)
				sum += size(a.call)
			case !errors.Is(a.err, ErrFull):
				t.Error(a.err)
			}
		}
		if sum <= room-3 || sum > room {
			t.Errorf("%d jobs were added, there is room for %d", sum, room)
		}
		for _, d := range read(t, q.NewConsumer("a", ConsumerOptions{}), sum) {
			added[d.Job.TokenID]--
		}
		for call, missing := range added {
			if missing != 0 {
				t.Errorf("call %d: %d jobs are missing", call, missing)
			}
		}
	})
}
