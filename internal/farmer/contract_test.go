package farmer

import (
	"encoding/json"
	"testing"
	"time"
)

func TestContractNext(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }
	held := record{Interval: 59 * time.Second}
	challenge, proof := []byte("challenge"), json.RawMessage("{}")
	tests := []struct {
		name string
		c    contract
		want step
		from time.Time // where want is rest
	}{
		{"resumed", contract{}, ask, time.Time{}},
		{"resumed, put off", contract{at: at(3)}, rest, at(3)},
		{"taken", contract{challenge: challenge, due: at(60)}, store, time.Time{}},
		{"stored", contract{challenge: challenge, due: at(60), stored: true}, prove, time.Time{}},
		{"proved", contract{challenge: challenge, due: at(60), stored: true, proof: proof}, answer, time.Time{}},
		{"proved, put off", contract{challenge: challenge, due: at(60), stored: true, proof: proof, at: at(3)}, rest, at(3)},
		{"answered", contract{challenge: challenge, due: at(60), stored: true, answered: true}, rest, at(60)},
		{"answered, due", contract{challenge: challenge, due: at(0), stored: true, answered: true}, ask, time.Time{}},
		{"answered, asked early", contract{challenge: challenge, due: at(0), answered: true, at: at(1)}, rest, at(1)},
		{"answered, not stored", contract{challenge: challenge, due: at(0), answered: true}, ask, time.Time{}},
		{"due in the rounding", contract{challenge: challenge, due: at(0), stored: true, proof: proof}, answer, time.Time{}},
		{"overdue", contract{challenge: challenge, due: at(-1), stored: true, proof: proof}, ask, time.Time{}},
		{"overdue, put off", contract{challenge: challenge, due: at(-1), at: at(3)}, rest, at(3)},
		{"finished", contract{record: held, challenge: challenge, due: at(-60), finished: true}, rest, at(1)},
		{"run out", contract{record: held, challenge: challenge, due: at(-61), finished: true}, drop, time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, from := tt.c.next(now)
			if got != tt.want || (got == rest && !from.Equal(tt.from)) {
				t.Errorf("next: step %d from %v, want %d from %v", got, from, tt.want, tt.from)
			}
			tt.c.busy = true
			if got, from := tt.c.next(now); got != rest || !from.After(now) {
				t.Errorf("next of a busy one: step %d from %v", got, from)
			}
		})
	}
}

func TestContractKeepsAProofForTheSameChallengeOnly(t *testing.T) {
	t.Parallel()
	c := contract{challenge: []byte("one"), proof: json.RawMessage("{}")}
	c.told([]byte("one"), time.Time{}, false)
	if c.proof == nil {
		t.Error("the proof is gone, and the challenge is the same")
	}
	c.told([]byte("two"), time.Time{}, false)
	if c.proof != nil {
		t.Error("the proof of one challenge is kept for another")
	}
}
