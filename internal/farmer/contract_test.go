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
	challenge, proof := []byte("challenge"), json.RawMessage("{}")
	tests := []struct {
		name string
		c    contract
		want step
		from time.Time // used if want is stepWait
	}{
		{"resumed", contract{}, stepAsk, time.Time{}},
		{"resumed, delayed", contract{notBefore: at(3)}, stepWait, at(3)},
		{"taken", contract{challenge: challenge, due: at(60)}, stepStore, time.Time{}},
		{"stored", contract{challenge: challenge, due: at(60), stored: true}, stepProve, time.Time{}},
		{"proved", contract{challenge: challenge, due: at(60), stored: true, proof: proof}, stepSend, time.Time{}},
		{"proved, delayed", contract{challenge: challenge, due: at(60), stored: true, proof: proof, notBefore: at(3)}, stepWait, at(3)},
		{"accepted", contract{challenge: challenge, due: at(60), stored: true, accepted: true}, stepWait, at(60)},
		{"accepted, due", contract{challenge: challenge, due: at(0), stored: true, accepted: true}, stepAsk, time.Time{}},
		{"accepted, asked early", contract{challenge: challenge, due: at(0), accepted: true, notBefore: at(1)}, stepWait, at(1)},
		{"accepted, not stored", contract{challenge: challenge, due: at(0), accepted: true}, stepAsk, time.Time{}},
		{"due, within the rounding", contract{challenge: challenge, due: at(0), stored: true, proof: proof}, stepSend, time.Time{}},
		{"overdue", contract{challenge: challenge, due: at(-1), stored: true, proof: proof}, stepAsk, time.Time{}},
		{"overdue, delayed", contract{challenge: challenge, due: at(-1), notBefore: at(3)}, stepWait, at(3)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, from := tt.c.next(now)
			if got != tt.want || (got == stepWait && !from.Equal(tt.from)) {
				t.Errorf("next: step %d from %v, want %d from %v", got, from, tt.want, tt.from)
			}
			tt.c.busy = true
			if got, from := tt.c.next(now); got != stepWait || !from.After(now) {
				t.Errorf("next of a busy contract: step %d from %v", got, from)
			}
		})
	}
}

func TestContractKeepsItsProofOnlyForTheSameChallenge(t *testing.T) {
	t.Parallel()
	c := contract{challenge: []byte("one"), proof: json.RawMessage("{}")}
	c.setChallenge([]byte("one"), time.Time{}, false)
	if c.proof == nil {
		t.Error("the proof is lost although the challenge is the same")
	}
	c.setChallenge([]byte("two"), time.Time{}, false)
	if c.proof != nil {
		t.Error("the proof for one challenge is kept for another")
	}
}
