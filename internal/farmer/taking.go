package farmer

import (
	"context"
	"fmt"
	"time"
)

// handover is how long a request for contracts may go on when the farmer is
// to end: the node has made the contracts already, and what is not received
// is lost.
const handover = 5 * time.Second

// takeMore starts taking contracts where there is room for more. Where it is
// too early for that, at is when it is not.
func (k *keeper) takeMore(ctx context.Context, now time.Time) (at time.Time, wait bool) {
	room := k.cfg.Size - k.held
	if k.taking || room <= 0 {
		return time.Time{}, false
	}
	if now.Before(k.takeAt) {
		return k.takeAt, true
	}
	k.taking = true
	k.start(func() func() {
		ctx, cancel := outlasting(ctx, handover)
		defer cancel()
		taken, refused, err := k.take(ctx, room)
		err = k.explain(ctx, err)
		return func() {
			k.taking = false
			k.took(taken, refused, err)
		}
	})
	return time.Time{}, false
}

// take asks for contracts of at most room bytes together and puts down each
// as it arrives. What it gives beside an error is good.
func (k *keeper) take(ctx context.Context, room int64) (taken []*contract, refused int, err error) {
	for chunk, err := range k.client.Chunks(ctx, k.token, room) {
		if err != nil {
			return taken, refused, err
		}
		c, err := k.receive(chunk, room)
		if err != nil {
			refused++
			k.refused(fmt.Errorf("chunk: file %s: %w", chunk.FileHash, err))
			continue
		}
		room -= chunk.Size
		taken = append(taken, c)
	}
	return taken, refused, nil
}

// receive puts down what came with a contract, all but its file.
func (k *keeper) receive(chunk Chunk, room int64) (*contract, error) {
	if chunk.Size > room {
		return nil, fmt.Errorf("its %d bytes are more than was asked for", chunk.Size)
	}
	tag, err := k.prover.ParseTag(chunk.Tag)
	if err != nil {
		return nil, fmt.Errorf("tag: %w", err)
	}
	challenge, err := k.prover.ParseChallenge(chunk.Challenge)
	if err != nil {
		return nil, fmt.Errorf("challenge: %w", err)
	}
	due := chunk.DueAt()
	r, err := k.shelf.add(record{
		FileHash: chunk.FileHash,
		Seed:     chunk.Seed,
		Size:     chunk.Size,
		Interval: due.Sub(chunk.Received),
		Taken:    time.Now().UTC(),
	}, tag)
	if err != nil {
		return nil, err
	}
	return &contract{record: r, challenge: challenge, due: due}, nil
}

func (k *keeper) took(taken []*contract, refused int, err error) {
	var bytes int64
	for _, c := range taken {
		bytes += c.Size
		k.add(c)
	}
	k.tally.count(func(s *Snapshot) { s.Taken += int64(len(taken)) })
	if len(taken) > 0 {
		k.log.Info("contracts taken", "contracts", len(taken), "bytes", bytes, "held", k.held)
	}
	now := time.Now()
	switch {
	case err != nil && Temporary(err):
		k.failed(nil, err)
		k.takeAt = now.Add(k.waitAfter(err))
	case err != nil:
		k.failed(nil, err)
		k.holdOff(now)
	case bytes == 0, refused > 0:
		k.holdOff(now)
	}
}

// holdOff keeps the farmer from taking contracts for a while: the node has
// none, or the last ones came to a bad end, and the next may do the same.
func (k *keeper) holdOff(now time.Time) {
	k.takeAt = later(k.takeAt, now.Add(k.cfg.TakeEvery))
}

// refused counts a contract that is not what it claims to be. The node will
// see it expire.
func (k *keeper) refused(err error) {
	k.log.Error("contract refused", "error", err)
	k.tally.failure(err)
	k.tally.count(func(s *Snapshot) { s.Refused++ })
}

// outlasting gives a context that ends grace after its parent does.
func outlasting(parent context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		select {
		case <-time.After(grace):
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		stop()
		cancel()
	}
}
