package node

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// Evidence is what a farmer's slots say about it. A slot is one farmer in one interval.
// It is the unit, because the contracts of a farmer fail together: if a power cut
// ends a thousand contracts, this is one observation and not a thousand.
//
// A slot with an event later than the current one becomes the current slot. An event of
// an earlier slot counts for the current slot, so that events that arrive in another order
// need no history.
type Evidence struct {
	Slot    time.Time // start of the current slot; zero if there is no evidence
	Online  Track     // a slot is good if no challenge was missed in it
	Correct Track     // a slot is good if no proof in it was wrong
}

// Track holds sums over slots. A slot's weight is 1 at first, and halves with every
// half-life.
type Track struct {
	Weight float64 // sum of the weights
	Good   float64 // sum of the weights of the good slots
	Square float64 // sum of the squares of the weights

	// Of the current slot: whether it counts in the sums, and the events that make it bad.
	seen bool
	bad  uint32
}

// AddHeartbeat adds an accepted proof.
func (e *Evidence) AddHeartbeat(at time.Time, interval, halfLife time.Duration) {
	e.enter(at, interval, halfLife)
	e.Online.see()
	e.Correct.see()
}

// AddWrong adds a wrong proof.
func (e *Evidence) AddWrong(at time.Time, interval, halfLife time.Duration) {
	e.enter(at, interval, halfLife)
	e.Correct.fail()
}

// AddMissed adds a challenge that was not answered in time.
func (e *Evidence) AddMissed(at time.Time, interval, halfLife time.Duration) {
	e.enter(at, interval, halfLife)
	e.Online.fail()
}

// UndoMissed takes back one missed challenge of the current slot, if there is one, because a
// proof had arrived in time. The challenge may be of an earlier slot. So a farmer can be
// forgiven a challenge too many.
func (e *Evidence) UndoMissed() {
	if t := &e.Online; t.bad > 0 {
		if t.bad--; t.bad == 0 {
			t.Good++
		}
	}
}

// maxLate is how late an event can be: a node that suspects itself holds deadlines for up to a
// day. If an event is from longer before the current slot, the clock was set back, and the
// current slot is in the future.
const maxLate = 25 * time.Hour

// enter makes the slot of at the current slot, if it is later.
func (e *Evidence) enter(at time.Time, interval, halfLife time.Duration) {
	slot := at.Truncate(interval)
	if setBack := slot.Before(e.Slot.Add(-maxLate)); !slot.After(e.Slot) && !setBack {
		return
	}
	if !e.Slot.IsZero() {
		w := decay(max(0, slot.Sub(e.Slot)), halfLife)
		e.Online.age(w)
		e.Correct.age(w)
	}
	e.Slot = slot
}

func decay(age, halfLife time.Duration) float64 { return math.Exp2(-float64(age) / float64(halfLife)) }

func (t *Track) age(w float64) {
	t.Weight *= w
	t.Good *= w
	t.Square *= w * w
	t.seen, t.bad = false, 0
}

// see counts the current slot, if it does not count yet.
func (t *Track) see() {
	if !t.seen {
		t.seen = true
		t.Weight++
		t.Good++
		t.Square++
	}
}

func (t *Track) fail() {
	t.see()
	if t.bad == 0 {
		t.Good = max(0, t.Good-1)
	}
	if t.bad < math.MaxUint32 {
		t.bad++
	}
}

// Score is an estimate of the share of good slots, with the bounds of its 95 %
// confidence interval. All three are between 0 and 1.
type Score struct {
	Estimate, Lower, Upper float64

	// Weight is the number of slots of equal weight that would say as much. 0 means
	// that there is no evidence.
	Weight float64
}

// z95 is the standard normal quantile of a two-sided 95 % interval.
const z95 = 1.959963984540054

// minWeight is the weight below which there is no evidence any more.
const minWeight = 1e-3

// Scores returns the scores at now. Evidence from before the current slot weighs less, as
// if its slots had aged until now.
func (e *Evidence) Scores(now time.Time, halfLife time.Duration) (online, correct Score) {
	age := e.age(now, halfLife)
	return e.Online.score(age, z95), e.Correct.score(age, z95)
}

func (e *Evidence) age(now time.Time, halfLife time.Duration) float64 {
	return decay(max(0, now.Sub(e.Slot)), halfLife)
}

// score computes the interval of Wilson (1927, Journal of the American Statistical
// Association 22, p. 209) for the share p of good slots of n:
//
//	(p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)
//
// The slots have different weights w. So n is the effective sample size of Kish (1965,
// Survey Sampling, section 11.7), (Σw)² / Σw², which is the number of slots if
// all weights are equal. If all slots age, this n stays the same, so it is also multiplied by
// age, the weight that a slot has now if it had the weight 1 when the sums were written.
func (t Track) score(age, z float64) Score {
	if t.Square <= 0 {
		return Score{Lower: 0, Upper: 1}
	}
	p := min(1, t.Good/t.Weight)
	n := t.Weight * t.Weight / t.Square * age
	if n < minWeight {
		return Score{Lower: 0, Upper: 1}
	}
	zz := z * z / n
	center, half := (p+zz/2)/(1+zz), z/(1+zz)*math.Sqrt(p*(1-p)/n+zz/(4*n))
	return Score{Estimate: p, Lower: max(0, center-half), Upper: min(1, center+half), Weight: n}
}

// evidenceSize is the length of MarshalBinary's result.
const evidenceSize = 1 + 8 + 2*(3*8+1+4)

// MarshalBinary encodes the evidence: a version, the slot in microseconds since the Unix
// epoch, and for each track Weight, Good and Square as IEEE 754 numbers, whether
// the slot counts, and the events that make it bad. All numbers are big-endian.
func (e Evidence) MarshalBinary() ([]byte, error) {
	b := make([]byte, 1, evidenceSize)
	b[0] = 1
	b = binary.BigEndian.AppendUint64(b, uint64(e.Slot.UnixMicro()))
	for _, t := range []Track{e.Online, e.Correct} {
		for _, sum := range []float64{t.Weight, t.Good, t.Square} {
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(sum))
		}
		seen := byte(0)
		if t.seen {
			seen = 1
		}
		b = binary.BigEndian.AppendUint32(append(b, seen), t.bad)
	}
	return b, nil
}

// UnmarshalBinary decodes the result of MarshalBinary. No bytes are no evidence.
func (e *Evidence) UnmarshalBinary(b []byte) error {
	*e = Evidence{}
	if len(b) == 0 {
		return nil
	}
	if len(b) != evidenceSize || b[0] != 1 {
		return fmt.Errorf("evidence of %d bytes with version %d: it must have %d bytes and version 1", len(b), b[0], evidenceSize)
	}
	e.Slot = time.UnixMicro(int64(binary.BigEndian.Uint64(b[1:]))).UTC()
	b = b[9:]
	for _, t := range []*Track{&e.Online, &e.Correct} {
		for _, sum := range []*float64{&t.Weight, &t.Good, &t.Square} {
			*sum = math.Float64frombits(binary.BigEndian.Uint64(b))
			b = b[8:]
		}
		t.seen, t.bad = b[0] == 1, binary.BigEndian.Uint32(b[1:])
		b = b[5:]
	}
	return nil
}
