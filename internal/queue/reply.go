package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/node"
)

// Reply is what became of a job's proofs, in the job's order. An outcome that
// counts has been committed before it is told.
type Reply struct {
	To       ID // the Job's ReplyTo; not part of what is sent
	Job      ID
	Outcomes []node.Outcome
}

const (
	replyVersion = 1
	replyField   = "reply"

	// maxReplies bounds what waits for a replica that does not read; it is
	// more than a replica has requests under way.
	maxReplies = 20_000
	// repliesTTL is how long replies outlive the last of them: longer than
	// anybody waits.
	repliesTTL = 5 * time.Minute
)

func appendReply(b []byte, r *Reply) []byte {
	b = append(b, replyVersion)
	b = append(b, r.Job[:]...)
	b = appendCount(b, len(r.Outcomes))
	for _, o := range r.Outcomes {
		b = append(b, byte(o))
	}
	return b
}

// parseReply reads what appendReply wrote. An outcome of a later version than
// this one is undecided: the farmer asks again, perhaps a replica that knows.
func parseReply(b []byte) (Reply, error) {
	p := parser{rest: b}
	p.version(replyVersion)
	r := Reply{Job: p.id(), Outcomes: make([]node.Outcome, p.count(1))}
	for i, o := range p.bytes(len(r.Outcomes)) {
		if o := node.Outcome(o); o.Valid() {
			r.Outcomes[i] = o
		}
	}
	if err := p.end(); err != nil {
		return Reply{}, fmt.Errorf("reply: %w", err)
	}
	return r, nil
}

// Reply sends the replies in one round trip. A reply to the zero ID is for
// nobody, and one to a replica that is gone is forgotten with its stream.
func (q *Queue) Reply(ctx context.Context, replies ...Reply) error {
	if len(replies) == 0 {
		return nil
	}
	ctx, cancel := q.bounded(ctx)
	defer cancel()
	_, err := q.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		q.reply(ctx, pipe, replies...)
		return nil
	})
	return wrap("reply", err)
}

// reply adds the commands for it to a pipeline.
func (q *Queue) reply(ctx context.Context, pipe redis.Pipeliner, replies ...Reply) {
	streams := make(map[ID]struct{}, 1)
	for i := range replies {
		r := &replies[i]
		if r.To == (ID{}) {
			continue
		}
		streams[r.To] = struct{}{}
		pipe.XAdd(ctx, &redis.XAddArgs{
			Stream: q.repliesKey(r.To),
			MaxLen: maxReplies,
			Approx: true,
			Values: []any{replyField, appendReply(nil, r)},
		})
	}
	for to := range streams {
		pipe.PExpire(ctx, q.repliesKey(to), repliesTTL)
	}
}
