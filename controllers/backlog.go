package controllers

import (
	"context"
	"time"

	"github.com/driveshare/downstream-node/internal/queue"
)

// BacklogReader asks the Redis at url how many verification jobs of the node
// with that name in Redis wait or are under way.
type BacklogReader func(ctx context.Context, url, name string) (int64, error)

// backlogTimeout is how long Redis may take. A Redis that cannot be reached
// must not hold up the reconciles of other nodes.
const backlogTimeout = 2 * time.Second

// ReadBacklog is the BacklogReader of production. It opens a connection each
// time: there is one question every few seconds, and a URL that can change.
func ReadBacklog(ctx context.Context, url, name string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, backlogTimeout)
	defer cancel()
	q, err := queue.Open(ctx, queue.Options{URL: url, Namespace: name, Timeout: backlogTimeout})
	if err != nil {
		return 0, err
	}
	defer q.Close()
	stats, err := q.Stats(ctx)
	if err != nil {
		return 0, err
	}
	return stats.Length, nil
}
