package node

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"
	"time"
)

// Contract is one file handed to one token, with its current challenge. Times are
// UTC with microsecond precision, as in the store.
type Contract struct {
	ID       int64
	TokenID  int64
	KeyID    int64 // the heartbeat key that encoded its file
	FileHash FileHash
	Size     int64 // bytes
	Interval time.Duration

	// Version grows with every change of the row. It shows which of two copies is
	// older.
	Version int64

	// Sequence numbers the challenges from 0. A verdict counts once per
	// (contract, sequence).
	Sequence  int64
	Challenge []byte // binary form, see package heartbeat
	State     []byte // binary form, after Challenge was issued
	Due       time.Time
	Answered  bool
	Accepted  Digest   // of the accepted proof, once answered
	Wrong     []Digest // of the distinct wrong proofs to this challenge
}

// Digest identifies a proof: the first 16 bytes of the SHA-256 of its binary
// form. That is enough: two proofs with the same digest would not help a farmer.
type Digest [16]byte

// DigestOf returns the digest of a proof in binary form.
func DigestOf(proof []byte) Digest {
	sum := sha256.Sum256(proof)
	return Digest(sum[:len(Digest{})])
}

// ContractName is how a farmer names a contract. A token has at most one contract
// for a file.
type ContractName struct {
	TokenID  int64
	FileHash FileHash
}

// Compare orders names by token, then by file.
func (n ContractName) Compare(o ContractName) int {
	return cmp.Or(cmp.Compare(n.TokenID, o.TokenID), bytes.Compare(n.FileHash[:], o.FileHash[:]))
}

// Name returns the contract's name.
func (c *Contract) Name() ContractName { return ContractName{c.TokenID, c.FileHash} }

// Expiry returns when the contract ends. An accepted proof moves it by one
// interval.
func (c *Contract) Expiry() time.Time {
	if c.Answered {
		return c.Due.Add(c.Interval)
	}
	return c.Due
}

// Expired reports whether the contract has ended at now.
func (c *Contract) Expired(now time.Time) bool { return !now.Before(c.Expiry()) }

// AwaitsChallenge reports whether the next challenge may be issued at now: the
// current one is answered and its due has passed.
func (c *Contract) AwaitsChallenge(now time.Time) bool {
	return c.Answered && !now.Before(c.Due) && !c.Expired(now)
}

// Issue sets the next challenge and the state after it. Its due is one interval
// after the previous due, however late it is issued. The caller must check
// AwaitsChallenge first.
func (c *Contract) Issue(challenge, state []byte) {
	c.Due = c.Expiry()
	c.Sequence++
	c.Version++
	c.Challenge, c.State = challenge, state
	c.Answered = false
	c.Accepted = Digest{}
	c.Wrong = nil
}

// Decided returns the outcome of a proof received at now, if the proof need not be
// verified: it is a repetition, or it comes too late or too often. maxWrong limits
// the distinct wrong proofs to a challenge.
func (c *Contract) Decided(proof Digest, now time.Time, maxWrong int) (Outcome, bool) {
	switch {
	case c.Answered && proof == c.Accepted:
		return OKAgain, true
	case c.Expired(now):
		return ContractExpired, true
	case c.Answered:
		return AlreadyAnswered, true
	case slices.Contains(c.Wrong, proof):
		return InvalidAgain, true
	case len(c.Wrong) >= maxWrong:
		return TooManyWrong, true
	}
	return Undecided, false
}

// Judge applies the verdict on a proof that was received at now and verified
// against the challenge with this sequence number. Only OK and Invalid change the
// contract. If that challenge is not the current one, the outcome is Undecided.
func (c *Contract) Judge(sequence int64, proof Digest, valid bool, now time.Time, maxWrong int) Outcome {
	if sequence != c.Sequence {
		return Undecided
	}
	if outcome, ok := c.Decided(proof, now, maxWrong); ok {
		return outcome
	}
	c.Version++
	if !valid {
		c.Wrong = append(c.Wrong, proof)
		return Invalid
	}
	c.Answered = true
	c.Accepted = proof
	return OK
}
