package node

import "math"

// UnprovenFactor is the ratio between the limits of an SJCX address or a network
// and the limits of a token, in UnprovenLimits.
const UnprovenFactor = 4

// UnprovenLimits limit the contracts that a farmer holds without having proved them
// once. A farmer may hold as much without a proof as it holds with one, if that is
// more than the limit. So an honest farmer can double with each round of proofs,
// and a farmer that sends no proofs cannot empty the inventory. A limit of 0 means
// no limit.
type UnprovenLimits struct {
	Contracts int64
	Bytes     int64
}

// Held is the sum of the contracts of some tokens. Contracts that have expired count
// until the sweeper has seen them.
type Held struct {
	Contracts, Bytes                 int64 // all contracts
	UnprovenContracts, UnprovenBytes int64 // the contracts of these that were never proved
}

// Allowance is the largest number of contracts, and the largest number of their
// bytes, that a hand-out may hand out.
type Allowance struct {
	Contracts, Bytes int64
}

// Narrow returns the part of a that the limits allow to tokens that hold h. factor
// multiplies the limits: it is 1 for one token, and UnprovenFactor for the tokens
// of an SJCX address or a network.
func (l UnprovenLimits) Narrow(a Allowance, h Held, factor int64) Allowance {
	return Allowance{
		Contracts: min(a.Contracts, unprovenRoom(l.Contracts, factor, h.Contracts, h.UnprovenContracts)),
		Bytes:     min(a.Bytes, unprovenRoom(l.Bytes, factor, h.Bytes, h.UnprovenBytes)),
	}
}

// Fits reports whether tokens that hold there leave room for one more token, which
// holds own. Like a hand-out, it lets one token have a contract that is larger than
// the limits if the others have no contract without a proof.
func (l UnprovenLimits) Fits(own, there Held, factor int64) bool {
	if own.UnprovenContracts == 0 || there.UnprovenContracts == 0 {
		return true
	}
	move := Allowance{own.UnprovenContracts, own.UnprovenBytes}
	there.Contracts += own.Contracts - own.UnprovenContracts
	there.Bytes += own.Bytes - own.UnprovenBytes
	return l.Narrow(move, there, factor) == move
}

// Plus returns what both hold.
func (h Held) Plus(other Held) Held {
	return Held{
		Contracts:         h.Contracts + other.Contracts,
		Bytes:             h.Bytes + other.Bytes,
		UnprovenContracts: h.UnprovenContracts + other.UnprovenContracts,
		UnprovenBytes:     h.UnprovenBytes + other.UnprovenBytes,
	}
}

func unprovenRoom(limit, factor, held, unproven int64) int64 {
	if limit <= 0 {
		return math.MaxInt64
	}
	if limit > math.MaxInt64/factor {
		limit = math.MaxInt64
	} else {
		limit *= factor
	}
	return max(0, max(limit, held-unproven)-unproven)
}

// InventoryShare returns how many contracts one farmer may hold without a proof if
// that many chunks wait: the given share of the chunks, but at least one contract.
// It returns 0, which means no limit, if the share is 0.
func InventoryShare(share float64, waiting int64) int64 {
	if share <= 0 {
		return 0
	}
	return max(1, int64(share*float64(max(0, waiting))))
}
