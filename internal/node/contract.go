package node

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"
	"time"
)

// Contract is one file that was handed out to one token, with its current
// challenge. Times are in UTC with microsecond precision, as in the store.
type Contract struct {
	ID       int64
	TokenID  int64
	KeyID    int64 // id of the heartbeat key that encoded its file
	FileHash FileHash
	Size     int64 // bytes
	Interval time.Duration

	// Version increases with every change of the row. Of two copies, the copy with
	// the lower Version is older.
	Version int64

	// Sequence is the number of the current challenge, starting at 0. A verdict
	// counts once for each pair of contract and sequence.
	Sequence  int64
	Challenge []byte // binary encoding, see package heartbeat
	State     []byte // the state after Challenge was issued, in binary encoding
	Due       time.Time
	Answered  bool

	// Moved is how much later the contract expires, because of a fault. Due does not move,
	// because the field's clients ask for the next challenge at the due time that they
	// know, and must get it. Contracts with a Moved are not cached. An older copy may be, so the
	// caller must read the row before it says that a contract has expired.
	Moved time.Duration

	Accepted Digest   // digest of the accepted proof, if Answered is true
	Wrong    []Digest // digests of the distinct wrong proofs to this challenge
}

// Digest identifies a proof: the first 16 bytes of the SHA-256 of its binary
// encoding. 16 bytes are enough, because a farmer gains nothing from two proofs
// with the same digest.
type Digest [16]byte

// DigestOf returns the digest of a proof in binary encoding.
func DigestOf(proof []byte) Digest {
	sum := sha256.Sum256(proof)
	return Digest(sum[:len(Digest{})])
}

// ContractName is the name that farmers use for a contract. A token has at most one
// contract for a file.
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

// Expiry returns the time when the contract expires. An accepted proof makes this
// time one interval later.
func (c *Contract) Expiry() time.Time {
	if c.Answered {
		return c.Due.Add(c.Interval + c.Moved)
	}
	return c.Due.Add(c.Moved)
}

// Expired reports whether the contract has expired at now.
func (c *Contract) Expired(now time.Time) bool { return !now.Before(c.Expiry()) }

// AwaitsChallenge reports whether the next challenge may be issued at now: the
// current challenge is answered and its due time has passed.
func (c *Contract) AwaitsChallenge(now time.Time) bool {
	return c.Answered && !now.Before(c.Due) && !c.Expired(now)
}

// Issue sets the next challenge and the state after it. The new due time is one
// interval after the previous due time, however late the challenge is issued at now. If a
// fault has kept the farmer from asking in time, it is one interval after now.
// The caller must check AwaitsChallenge first.
func (c *Contract) Issue(challenge, state []byte, now time.Time) {
	if c.Moved > 0 {
		c.Due = later(c.Due, now)
	}
	c.Due = c.Due.Add(c.Interval)
	c.Moved = 0
	c.Sequence++
	c.Version++
	c.Challenge, c.State = challenge, state
	c.Answered = false
	c.Accepted = Digest{}
	c.Wrong = nil
}

// Began returns the earliest time at which the current challenge can have been issued.
func (c *Contract) Began() time.Time { return c.Due.Add(-c.Interval) }

// MaxWrong is the maximum number of wrong proofs to one challenge that a contract
// can record.
const MaxWrong = 256

// Decided returns the outcome of a proof received at now if the proof need not be
// verified. This is the case if the proof is a repetition, if it arrives too late,
// or if there are too many wrong proofs. maxWrong limits the number of distinct
// wrong proofs to a challenge. A value above MaxWrong counts as MaxWrong.
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
	case len(c.Wrong) >= min(maxWrong, MaxWrong):
		return TooManyWrong, true
	}
	return Undecided, false
}

// Judge applies the verdict on a proof that was received at now and verified
// against the challenge with this sequence number. Only the outcomes OK and Invalid
// change the contract. If that challenge is not the current challenge, the outcome
// is Undecided.
func (c *Contract) Judge(sequence int64, proof Digest, valid bool, now time.Time, maxWrong int) Outcome {
	if sequence != c.Sequence {
		return Undecided
	}
	if outcome, ok := c.Decided(proof, now, maxWrong); ok {
		return outcome
	}
	if !valid && now.Before(c.Began()) {
		// The proof is for an earlier challenge, and its job was delivered again late.
		return Undecided
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
