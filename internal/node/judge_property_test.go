package node

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// answer is a verdict on its way to a contract.
type answer struct {
	sequence int64
	proof    Digest
	valid    bool
	received time.Time
}

// randomAnswers are of few distinct proofs, so that repetitions are common. A
// proof is valid or not by its number: verifying it again gives the same.
func randomAnswers(rng *rand.Rand, n int) []answer {
	answers := make([]answer, n)
	for i := range answers {
		proof := rng.IntN(8)
		answers[i] = answer{
			sequence: rng.Int64N(2),
			proof:    DigestOf([]byte{byte(proof)}),
			valid:    proof < 2,
			received: start.Add(time.Duration(rng.Int64N(int64(interval + interval/4)))),
		}
	}
	return answers
}

// The invariant of the package: the same answer, any number of times and mixed
// with others, changes the contract once, and its farmer is told one thing.
func TestJudgingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		c := handedOut()
		for _, a := range randomAnswers(rng, 1+rng.IntN(10)) {
			first := c.Judge(a.sequence, a.proof, a.valid, a.received, maxWrong)
			after := *c
			after.Wrong = slices.Clone(c.Wrong)
			for range 3 {
				again := c.Judge(a.sequence, a.proof, a.valid, a.received, maxWrong)
				if again.Message() != first.Message() {
					t.Fatalf("told %q, and then %q", first.Message(), again.Message())
				}
				if again.Counts() || !reflect.DeepEqual(*c, after) {
					t.Fatalf("the second time changed %+v into %+v", after, *c)
				}
			}
		}
	}
}

// What counts is bounded, however the answers come.
func TestWhatCountsIsBounded(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		c, ok, invalid := handedOut(), 0, 0
		for _, a := range randomAnswers(rng, 30) {
			switch c.Judge(a.sequence, a.proof, a.valid, a.received, maxWrong) {
			case OK:
				ok++
				if !a.valid || a.sequence != 0 || !a.received.Before(start.Add(interval)) {
					t.Fatalf("%+v is counted as ok", a)
				}
			case Invalid:
				invalid++
			}
		}
		if ok > 1 || invalid > maxWrong || len(c.Wrong) != invalid || c.Answered != (ok == 1) || c.Version != int64(ok+invalid) {
			t.Fatalf("%d ok and %d wrong in %+v", ok, invalid, c)
		}
	}
}

// What Decided says before verification, Judge says after it: no verdict
// depends on which of the two a proof meets first.
func TestDecidedForeseesJudge(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	for range 5000 {
		c := handedOut()
		for _, a := range randomAnswers(rng, 12) {
			foreseen, decided := c.Decided(a.proof, a.received, maxWrong)
			got := c.Judge(c.Sequence, a.proof, a.valid, a.received, maxWrong)
			if decided && got != foreseen {
				t.Fatalf("%v was decided, judged %v", foreseen, got)
			}
			if !decided && !got.Counts() {
				t.Fatalf("nothing was decided, and judging gave %v", got)
			}
		}
	}
}
