package node

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"
	"time"
)

// Contract is one file handed to one token, with its current challenge.
// Times are UTC with microsecond precision, as the store keeps them.
type Contract struct {
	ID       int64
	TokenID  int64
	KeyID    int64 // the heartbeat key that its file was encoded with
	FileHash FileHash
	Size     int64 // bytes
	Interval time.Duration

	// Version grows with every change of the row, so that a cached copy can
	// tell whether it is older than another.
	Version int64

	// Sequence counts the challenges issued so far, from 0. A verdict counts
	// for one (contract, sequence) once.
	Sequence  int64
	Challenge []byte // binary form, see package heartbeat
	State     []byte // binary form, after Challenge was issued
	Due       time.Time
	Answered  bool
	Accepted  Digest   // of the accepted proof, once answered
	Wrong     []Digest // of the distinct wrong proofs to this challenge
}

// Digest names a proof by its binary form. Sixteen bytes are enough: a farmer
// that finds two proofs of the same digest has gained nothing.
type Digest [16]byte

// DigestOf names the proof.
func DigestOf(proof []byte) Digest {
	sum := sha256.Sum256(proof)
	return Digest(sum[:len(Digest{})])
}

// ContractName is what a farmer calls a contract: there is one a token and file.
type ContractName struct {
	TokenID  int64
	FileHash FileHash
}

// Compare orders names by token, and then by file.
func (n ContractName) Compare(o ContractName) int {
	return cmp.Or(cmp.Compare(n.TokenID, o.TokenID), bytes.Compare(n.FileHash[:], o.FileHash[:]))
}

// Name is the contract's.
func (c *Contract) Name() ContractName { return ContractName{c.TokenID, c.FileHash} }

// Expiry is the moment from which the contract is over for good, unless an
// answer moves it.
func (c *Contract) Expiry() time.Time {
	if c.Answered {
		return c.Due.Add(c.Interval)
	}
	return c.Due
}

// Expired says whether the contract is over at now.
func (c *Contract) Expired(now time.Time) bool { return !now.Before(c.Expiry()) }

// AwaitsChallenge says whether asking at now gives the next challenge: the
// current one is answered and its due has passed.
func (c *Contract) AwaitsChallenge(now time.Time) bool {
	return c.Answered && !now.Before(c.Due) && !c.Expired(now)
}

// Issue makes challenge, with the state after it, the current one. Its due is
// one interval after the due of the one before, however late it is asked for.
// The caller has seen AwaitsChallenge.
func (c *Contract) Issue(challenge, state []byte) {
	c.Due = c.Expiry()
	c.Sequence++
	c.Version++
	c.Challenge, c.State = challenge, state
	c.Answered = false
	c.Accepted = Digest{}
	c.Wrong = nil
}

// Decided gives the outcome of an answer received at now where that needs no
// look at the proof itself: a repetition, or an answer that comes too late or
// too often. maxWrong is the limit of distinct wrong proofs per challenge.
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

// Judge applies a verified answer: one received at now, to the challenge with
// this sequence number. It changes the contract only for an outcome that
// counts. An answer to another challenge than the current one stays
// undecided: what was verified is not what is asked.
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
