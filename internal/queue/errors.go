package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

var (
	// ErrUnavailable is returned where Redis cannot be reached or cannot do
	// its work now: it is loading, a read-only replica, or out of memory.
	// Asking again later helps.
	ErrUnavailable = errors.New("no Redis that can work")

	// ErrFull is returned by Enqueue where the queue has no room.
	ErrFull = errors.New("queue is full")

	// ErrTooLarge is returned by Enqueue for a job beyond MaxJobBytes: it has
	// to come in parts.
	ErrTooLarge = errors.New("job is too large")

	// errMalformed is the reason why foreign bytes were not taken.
	errMalformed = errors.New("malformed")
)

// wrap says what was being done, and whether asking again later helps.
func wrap(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case unavailable(err):
		return fmt.Errorf("queue: %s: %w: %w", doing, ErrUnavailable, err)
	default:
		return fmt.Errorf("queue: %s: %w", doing, err)
	}
}

// unavailable tells a Redis that could not do its work from one that answered
// that the work is wrong, and from a caller that gave up.
func unavailable(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	var answer redis.Error
	if !errors.As(err, &answer) {
		return true // no answer at all: the connection, or the time for it
	}
	for _, state := range [...]string{
		"LOADING ", "READONLY ", "OOM ", "MASTERDOWN ", "CLUSTERDOWN ", "TRYAGAIN ",
		"NOREPLICAS ", "MISCONF ", "BUSY ", "UNBLOCKED ", "ERR max number of clients",
	} {
		if strings.HasPrefix(answer.Error(), state) {
			return true
		}
	}
	return false
}

// noGroup says whether the stream of jobs, or its group, is gone: Redis was
// flushed, or has never held it.
func noGroup(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer) &&
		(strings.HasPrefix(answer.Error(), "NOGROUP ") || strings.HasPrefix(answer.Error(), "UNBLOCKED "))
}
