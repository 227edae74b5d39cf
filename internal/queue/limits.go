package queue

import (
	"context"
	"time"

	"github.com/go-redis/redis_rate/v10"
)

// Allow takes one request from the bucket that key names: perSecond requests
// in the long run, burst of them at once after a pause. Where there is none
// left, retryAfter says when there will be. On an error nothing is known, and
// the caller decides; letting the request pass is meant. A perSecond or burst
// of 0 is no limit.
//
// The key shall not show a secret: a token's farmer id, not the token.
func (q *Queue) Allow(ctx context.Context, key string, perSecond float64, burst int) (retryAfter time.Duration, ok bool, err error) {
	if perSecond <= 0 || burst <= 0 {
		return 0, true, nil
	}
	ctx, cancel := q.bounded(ctx)
	defer cancel()
	// Whole requests in a period that may be a fraction of a second: the
	// library's rates are whole numbers, ours need not be. It puts "rate:"
	// before the hash tag, which does not move the key to another slot.
	limit := redis_rate.Limit{Rate: 1, Burst: burst, Period: time.Duration(float64(time.Second) / perSecond)}
	result, err := q.limiter.Allow(ctx, q.prefix+key, limit)
	if err != nil {
		return 0, false, wrap("rate limit", err)
	}
	if result.Allowed > 0 {
		return 0, true, nil
	}
	return result.RetryAfter, false, nil
}
