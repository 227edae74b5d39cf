package swizzle

import (
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/internal/aes256"
	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
	"github.com/driveshare/downstream-node/heartbeat/internal/wide"
)

// path is a choice of kernels in all packages that have some.
type path struct {
	name string
	use  func() (restore func())
}

// paths are the best one of this processor and the one without any kernel.
func paths() []path {
	best := wide.Kernels()[0]
	all := []path{{best, func() func() { return func() {} }}}
	if best != "portable" {
		all = append(all, path{"portable", func() func() {
			restore := []func(){wide.Use("portable"), sha256x.Use("portable"), aes256.Use(aes256.Portable)}
			return func() {
				for _, f := range restore {
					f()
				}
			}
		}})
	}
	return all
}

// Alone, every test runs on the best path of the processor; here those that
// compute run on the others.
func TestOtherPaths(t *testing.T) {
	for _, path := range paths()[1:] {
		t.Run(path.name, func(t *testing.T) {
			defer path.use()()
			// It returns when those that are parallel have ended.
			t.Run("all", func(t *testing.T) {
				for name, test := range map[string]func(*testing.T){
					"PRF":                   TestPRF,
					"Chosen":                TestChosen,
					"EncodeVectors":         TestEncodeVectors,
					"RoundVectors":          TestRoundVectors,
					"RoundTrip":             TestRoundTripWithVectorHeartbeats,
					"RoundsOfOddFiles":      TestRoundsOfOddFiles,
					"RoundsOfSmallPrime":    TestRoundsOfSmallPrime,
					"TamperedProof":         TestTamperedProof,
					"NumberOfSectors":       TestNumberOfSectors,
					"SwappedChallenges":     TestSwappedChallenges,
					"ProofOfAnotherFile":    TestProofOfAnotherFile,
					"NothingChallenged":     TestNothingChallengedAttack,
					"EveryChunkCounts":      TestEveryChunkCounts,
					"RoundsOfOddHeartbeats": TestRoundsOfOddHeartbeats,
				} {
					t.Run(name, test)
				}
			})
		})
	}
}
