package queue

import (
	"bytes"
	"testing"

	"github.com/driveshare/downstream-node/internal/node"
)

// Malformed bytes must return an error. Parsing and writing valid bytes must return
// the same bytes.

func FuzzJob(f *testing.F) {
	for _, j := range []Job{{}, aJob(NewID(), 1), aJob(ID{}, 40)} {
		b := appendJob(nil, &j)
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(b, 0))
	}
	f.Add(append(make([]byte, 1+32+32), 0xff, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := parseJob(b)
		if err != nil {
			return
		}
		if again := appendJob(nil, &j); !bytes.Equal(again, b) {
			t.Errorf("%x became %x", b, again)
		}
	})
}

func FuzzReply(f *testing.F) {
	for _, n := range []int{0, 1, 9} {
		r := Reply{Job: NewID()}
		for i := range n {
			r.Outcomes = append(r.Outcomes, node.Outcome(i))
		}
		b := appendReply(nil, &r)
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(b, 200))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseReply(b)
		if err != nil {
			return
		}
		// Parsing may change only an outcome that this version does not have.
		again := appendReply(nil, &r)
		if len(again) != len(b) {
			t.Fatalf("%x became %x", b, again)
		}
		for i := range b {
			if outcome := i >= len(b)-len(r.Outcomes); b[i] != again[i] && (!outcome || node.Outcome(b[i]).Valid()) {
				t.Fatalf("%x became %x", b, again)
			}
		}
		for _, o := range r.Outcomes {
			if !o.Valid() {
				t.Errorf("outcome %d", o)
			}
		}
	})
}

func TestJobFormKeepsEveryField(t *testing.T) {
	t.Parallel()
	job := aJob(NewID(), 5)
	if got, err := parseJob(appendJob(nil, &job)); err != nil || got.ID != job.ID ||
		got.ReplyTo != job.ReplyTo || got.KeyID != 3 || got.TokenID != 7 ||
		!got.Received.Equal(job.Received) || !got.Deadline.Equal(job.Deadline) ||
		len(got.Proofs) != 5 || !bytes.Equal(got.Proofs[4].Proof, []byte("pppp")) {
		t.Errorf("%+v: %v", got, err)
	}
	if _, err := parseJob(make([]byte, MaxJobBytes+1)); err == nil {
		t.Error("parseJob accepted more than MaxJobBytes")
	}
}
