package node

import (
	"fmt"
	"testing"
	"time"
)

// start is the time of the first hand-out; no rule reads a clock.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	interval = 300 * time.Second
	maxWrong = 3
)

var (
	right = DigestOf([]byte("right"))
	other = DigestOf([]byte("right, in another way"))
	wrong = DigestOf([]byte("wrong"))
)

// handedOut returns a contract that was handed out at start.
func handedOut() *Contract {
	return &Contract{ID: 1, Interval: interval, Challenge: []byte("first"), State: []byte("after it"), Due: start.Add(interval)}
}

func answered() *Contract {
	c := handedOut()
	c.Answered, c.Accepted = true, right
	return c
}

// secondChallenge returns a contract with its second challenge.
func secondChallenge() *Contract {
	c := answered()
	c.Issue([]byte("second"), []byte("after that"), c.Due)
	return c
}

func withWrong(c *Contract, n int) *Contract {
	for i := range n {
		c.Wrong = append(c.Wrong, DigestOf([]byte{byte(i)}))
	}
	return c
}

func TestContractLife(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		contract *Contract
		at       time.Duration // time after the hand-out
		expired  bool
		awaits   bool
	}{
		{"just handed out", handedOut(), 0, false, false},
		{"just before due", handedOut(), interval - time.Microsecond, false, false},
		{"due passes unanswered", handedOut(), interval, true, false},
		{"long after its end", handedOut(), 10 * interval, true, false},
		{"answered, not yet due", answered(), interval - time.Microsecond, false, false},
		{"answered and due", answered(), interval, false, true},
		{"answered, next not asked for", answered(), 2*interval - time.Microsecond, false, true},
		{"answered, next never asked for", answered(), 2 * interval, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now := start.Add(tt.at)
			if got := tt.contract.Expired(now); got != tt.expired {
				t.Errorf("expired: %t, want %t", got, tt.expired)
			}
			if got := tt.contract.AwaitsChallenge(now); got != tt.awaits {
				t.Errorf("awaits a challenge: %t, want %t", got, tt.awaits)
			}
		})
	}
}

// The next due time must not depend on the time when the challenge is issued.
func TestIssueContinuesFromTheLastDue(t *testing.T) {
	t.Parallel()
	c := withWrong(answered(), 2)
	c.Issue([]byte("second"), []byte("after that"), c.Due)
	if want := start.Add(2 * interval); !c.Due.Equal(want) || !c.Expiry().Equal(want) {
		t.Errorf("due %v and expiry %v, want %v", c.Due, c.Expiry(), want)
	}
	if c.Sequence != 1 || c.Version != 1 {
		t.Errorf("sequence %d, version %d, want 1 and 1", c.Sequence, c.Version)
	}
	if c.Answered || c.Accepted != (Digest{}) || len(c.Wrong) != 0 {
		t.Errorf("parts of the previous challenge remain: %+v", c)
	}
	if string(c.Challenge) != "second" || string(c.State) != "after that" {
		t.Errorf("challenge %q and state %q", c.Challenge, c.State)
	}
}

func TestDecided(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		contract *Contract
		proof    Digest
		at       time.Duration
		want     Outcome
	}{
		{"first proof", handedOut(), right, 0, Undecided},
		{"first proof, at the last moment", handedOut(), right, interval - time.Microsecond, Undecided},
		{"too late", handedOut(), right, interval, ContractExpired},
		{"the same proof again", answered(), right, 0, OKAgain},
		{"the same proof again after due", answered(), right, interval, OKAgain},
		{"the same proof again after expiry", answered(), right, 2 * interval, OKAgain},
		{"another proof after the accepted one", answered(), other, 0, AlreadyAnswered},
		{"another proof after due", answered(), other, interval, AlreadyAnswered},
		{"another proof after expiry", answered(), other, 2 * interval, ContractExpired},
		{"a repeated wrong proof after the accepted one", withWrong(answered(), 1), DigestOf([]byte{0}), 0, AlreadyAnswered},
		{"a right proof after a wrong one", withWrong(handedOut(), 1), right, 0, Undecided},
		{"the same wrong proof", withWrong(handedOut(), 1), DigestOf([]byte{0}), 0, InvalidAgain},
		{"the same wrong proof, too late", withWrong(handedOut(), 1), DigestOf([]byte{0}), interval, ContractExpired},
		{"a right proof at the limit of wrong ones", withWrong(handedOut(), maxWrong), right, 0, TooManyWrong},
		{"the same wrong proof at the limit", withWrong(handedOut(), maxWrong), DigestOf([]byte{0}), 0, InvalidAgain},
		{"the last allowed proof", withWrong(handedOut(), maxWrong-1), wrong, 0, Undecided},
		{"first proof to the second challenge", secondChallenge(), right, interval, Undecided},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, decided := tt.contract.Decided(tt.proof, start.Add(tt.at), maxWrong)
			if got != tt.want || decided != (tt.want != Undecided) {
				t.Errorf("%v, decided %t; want %v", got, decided, tt.want)
			}
		})
	}
}

// A contract records at most MaxWrong wrong proofs, so a larger limit must not let the
// node verify more of them.
func TestLimitAboveMaxWrong(t *testing.T) {
	t.Parallel()
	c := handedOut()
	for i := range 2 * MaxWrong {
		proof := DigestOf(fmt.Append(nil, "wrong ", i))
		want := Undecided
		if i >= MaxWrong {
			want = TooManyWrong
		}
		if got, _ := c.Decided(proof, start, 1000); got != want {
			t.Fatalf("proof %d: %v, want %v", i, got, want)
		}
		c.Judge(c.Sequence, proof, false, start, 1000)
	}
	if len(c.Wrong) != MaxWrong {
		t.Errorf("%d wrong proofs recorded, want %d", len(c.Wrong), MaxWrong)
	}
}

// A proof to an earlier challenge is delivered again after the next challenge was
// issued. It must not count as a wrong proof for that challenge. A valid proof counts,
// because the clocks of two replicas may differ a little.
func TestProofForAnEarlierChallengeIsNotWrong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		at    time.Duration // arrival, after the second challenge began
		valid bool
		want  Outcome
	}{
		{"not valid, before the challenge", -time.Microsecond, false, Undecided},
		{"not valid, at its beginning", 0, false, Invalid},
		{"valid, before the challenge", -time.Microsecond, true, OK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := secondChallenge()
			version := c.Version
			if got := c.Judge(c.Sequence, other, tt.valid, c.Began().Add(tt.at), maxWrong); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
			if changed := c.Version != version; changed != counts(tt.want) || (len(c.Wrong) == 1) != (tt.want == Invalid) {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		contract *Contract
		sequence int64
		valid    bool
		at       time.Duration
		want     Outcome
	}{
		{"valid", handedOut(), 0, true, 0, OK},
		{"not valid", handedOut(), 0, false, 0, Invalid},
		{"valid, too late", handedOut(), 0, true, interval, ContractExpired},
		{"not valid, too late", handedOut(), 0, false, interval, ContractExpired},
		{"verified against the previous challenge", handedOut(), -1, true, 0, Undecided},
		{"not valid against the previous challenge", handedOut(), -1, false, 0, Undecided},
		{"verified against a later challenge", handedOut(), 1, true, 0, Undecided},
		{"valid at the limit of wrong ones", withWrong(handedOut(), maxWrong), 0, true, 0, TooManyWrong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := tt.contract
			before := *c
			if got := c.Judge(tt.sequence, right, tt.valid, start.Add(tt.at), maxWrong); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
			if changed := c.Version != before.Version; changed != counts(tt.want) {
				t.Errorf("changed: %t", changed)
			}
			if c.Answered != (tt.want == OK) || (tt.want == OK) != (c.Accepted == right) {
				t.Errorf("answered %t with %x", c.Answered, c.Accepted)
			}
			if grown := len(c.Wrong) - len(before.Wrong); grown != map[bool]int{true: 1}[tt.want == Invalid] {
				t.Errorf("%d more wrong proofs", grown)
			}
		})
	}
}
