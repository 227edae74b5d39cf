package node

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// verdict holds the arguments of Judge.
type verdict struct {
	sequence int64
	proof    Digest
	valid    bool
	received time.Time
}

// randomVerdicts uses few distinct proofs, so that repetitions are common. The
// number of a proof alone determines whether the proof is valid.
func randomVerdicts(rng *rand.Rand, n int) []verdict {
	verdicts := make([]verdict, n)
	for i := range verdicts {
		proof := rng.IntN(8)
		verdicts[i] = verdict{
			sequence: rng.Int64N(2),
			proof:    DigestOf([]byte{byte(proof)}),
			valid:    proof < 2,
			received: start.Add(time.Duration(rng.Int64N(int64(interval + interval/4)))),
		}
	}
	return verdicts
}

// The invariant of the package: the same verdict, any number of times and mixed
// with other verdicts, changes the contract once and always gives the same
// response.
func TestJudgingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		c := handedOut()
		for _, a := range randomVerdicts(rng, 1+rng.IntN(10)) {
			first := c.Judge(a.sequence, a.proof, a.valid, a.received, maxWrong)
			after := *c
			after.Wrong = slices.Clone(c.Wrong)
			for range 3 {
				again := c.Judge(a.sequence, a.proof, a.valid, a.received, maxWrong)
				if again.Message() != first.Message() {
					t.Fatalf("response %q, then %q", first.Message(), again.Message())
				}
				if counts(again) || !reflect.DeepEqual(*c, after) {
					t.Fatalf("a repetition changed %+v into %+v", after, *c)
				}
			}
		}
	}
}

// A challenge has at most one OK and at most maxWrong wrong proofs, in any order of
// verdicts.
func TestCountedOutcomesAreLimited(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		c, ok, invalid := handedOut(), 0, 0
		for _, a := range randomVerdicts(rng, 30) {
			switch c.Judge(a.sequence, a.proof, a.valid, a.received, maxWrong) {
			case OK:
				ok++
				if !a.valid || a.sequence != 0 || !a.received.Before(start.Add(interval)) {
					t.Fatalf("%+v was judged OK", a)
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

// Decided (before the verification) and Judge (after it) must agree.
func TestDecidedAgreesWithJudge(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	for range 5000 {
		c := handedOut()
		for _, a := range randomVerdicts(rng, 12) {
			early, decided := c.Decided(a.proof, a.received, maxWrong)
			got := c.Judge(c.Sequence, a.proof, a.valid, a.received, maxWrong)
			if decided && got != early {
				t.Fatalf("Decided returned %v, Judge %v", early, got)
			}
			if !decided && !counts(got) {
				t.Fatalf("Decided returned nothing, Judge %v", got)
			}
		}
	}
}
