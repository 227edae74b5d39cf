package queue

import (
	"fmt"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// Job is the proofs of one request, or of a part of it: all of one token and
// one heartbeat key. Times have microsecond precision.
type Job struct {
	ID       ID
	ReplyTo  ID // where the replies are read; zero where nobody waits
	KeyID    int64
	TokenID  int64
	Received time.Time // when the farmer's answer came: what verdicts go by
	Deadline time.Time // from then on nobody waits, and nothing is judged
	Proofs   []Answer
}

// Answer is one proof, for the contract of the job's token and this file.
type Answer struct {
	FileHash node.FileHash
	Proof    []byte // binary form, see package heartbeat
}

// Late says whether the deadline has passed at now.
func (j *Job) Late(now time.Time) bool { return !now.Before(j.Deadline) }

// MaxJobBytes is the most that a job's binary form may have.
const MaxJobBytes = 4 << 20

const (
	jobVersion = 1
	jobField   = "job"
	answerSize = len(node.FileHash{}) + 4 // of an empty proof
)

// jobSize is the length of the job's binary form.
func jobSize(j *Job) int {
	size := 1 + 2*len(ID{}) + 4*8 + 4
	for _, a := range j.Proofs {
		size += answerSize + len(a.Proof)
	}
	return size
}

func appendJob(b []byte, j *Job) []byte {
	b = append(b, jobVersion)
	b = append(b, j.ID[:]...)
	b = append(b, j.ReplyTo[:]...)
	b = appendInt64(b, j.KeyID)
	b = appendInt64(b, j.TokenID)
	b = appendTime(b, j.Received)
	b = appendTime(b, j.Deadline)
	b = appendCount(b, len(j.Proofs))
	for _, a := range j.Proofs {
		b = append(b, a.FileHash[:]...)
		b = appendBlob(b, a.Proof)
	}
	return b
}

// parseJob reads what appendJob wrote; the proofs are parts of b.
func parseJob(b []byte) (Job, error) {
	if len(b) > MaxJobBytes {
		return Job{}, fmt.Errorf("job: %w: %d bytes", errMalformed, len(b))
	}
	p := parser{rest: b}
	p.version(jobVersion)
	j := Job{
		ID:       p.id(),
		ReplyTo:  p.id(),
		KeyID:    p.int64(),
		TokenID:  p.int64(),
		Received: p.time(),
		Deadline: p.time(),
		Proofs:   make([]Answer, p.count(answerSize)),
	}
	for i := range j.Proofs {
		copy(j.Proofs[i].FileHash[:], p.bytes(len(node.FileHash{})))
		j.Proofs[i].Proof = p.blob()
	}
	if err := p.end(); err != nil {
		return Job{}, fmt.Errorf("job: %w", err)
	}
	return j, nil
}
