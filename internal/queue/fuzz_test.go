package queue

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// What can be parsed has one form, and no more is made of it than it holds.

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
		// An outcome that this version does not know is the only thing that
		// changes.
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

func FuzzContract(f *testing.F) {
	full, empty := aContract(3), node.Contract{}
	for _, c := range []node.Contract{full, empty} {
		b := appendContract(nil, &c)
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(b, 0))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseContract(b)
		if err != nil {
			return
		}
		if again := appendContract(nil, c); !bytes.Equal(again, b) {
			t.Errorf("%x became %x", b, again)
		}
	})
}

func TestFormsKeepEverything(t *testing.T) {
	t.Parallel()
	job := aJob(NewID(), 5)
	if got, err := parseJob(appendJob(nil, &job)); err != nil || got.ID != job.ID ||
		got.ReplyTo != job.ReplyTo || got.KeyID != 3 || got.TokenID != 7 ||
		!got.Received.Equal(job.Received) || !got.Deadline.Equal(job.Deadline) ||
		len(got.Proofs) != 5 || !bytes.Equal(got.Proofs[4].Proof, []byte("pppp")) {
		t.Errorf("%+v: %v", got, err)
	}
	// A field that is forgotten in the form would come back as zero.
	c := aContract(2)
	for i, v := 0, reflect.ValueOf(c); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("%s is zero in the test's contract", v.Type().Field(i).Name)
		}
	}
	got, err := parseContract(appendContract(nil, &c))
	if err != nil || !reflect.DeepEqual(*got, c) {
		t.Errorf("%+v: %v", got, err)
	}
	zero := appendContract(nil, &node.Contract{})
	if got, err := parseContract(zero); err != nil || !got.Due.IsZero() || got.Due.Location() != time.UTC {
		t.Errorf("%+v: %v", got, err)
	}
}

func TestPromisesAreNotBelieved(t *testing.T) {
	t.Parallel()
	p := parser{rest: []byte{0xff, 0xff, 0xff, 0xff, 1}}
	if n := p.count(1); n != 0 || p.end() == nil {
		t.Errorf("%d items in one byte", n)
	}
	p = parser{rest: []byte{0, 0, 0, 2, 1, 2, 3}}
	if n := p.count(2); n != 0 || p.end() == nil {
		t.Errorf("%d items of two bytes in three", n)
	}
	if _, err := parseJob(make([]byte, MaxJobBytes+1)); err == nil {
		t.Error("a job beyond MaxJobBytes was taken")
	}
}
