package page

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// reading is a value read from the records.
type reading[T any] struct {
	value T
	at    time.Time // when the value was read; zero before it ever was
	tried time.Time // the last try
	err   error     // of the last try: the value is the one before it
}

// readTimeout is how long a read for all visitors may take.
const readTimeout = 10 * time.Second

// kept is a value read for all visitors at once, every life at most. While it
// is being read, and when it cannot be, they see the one before.
type kept[T any] struct {
	life time.Duration
	read func(context.Context) (T, error)

	reading sync.Mutex
	current atomic.Pointer[reading[T]]
}

func (k *kept[T]) get(ctx context.Context, now time.Time) *reading[T] {
	r := k.current.Load()
	switch {
	case r != nil && now.Sub(r.tried) < k.life:
		return r
	case r != nil && now.Sub(r.at) < 4*k.life:
		if !k.reading.TryLock() {
			return r
		}
	default:
		k.reading.Lock()
	}
	defer k.reading.Unlock()
	if other := k.current.Load(); other != nil && now.Sub(other.tried) < k.life {
		return other // read while this one waited
	}
	// The others' read does not end with the visitor that began it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	next := &reading[T]{tried: now}
	next.value, next.err = k.read(ctx)
	switch {
	case next.err == nil:
		next.at = now
	case r != nil:
		next.value, next.at = r.value, r.at
	}
	k.current.Store(next)
	return next
}
