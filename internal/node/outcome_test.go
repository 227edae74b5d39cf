package node

import (
	"fmt"
	"testing"
)

// counts reports whether the outcome changes the contract.
func counts(o Outcome) bool { return o == OK || o == Invalid }

// Processes of different versions exchange the numbers, and farmers read the
// messages. So neither the numbers nor the messages may change.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		outcome  Outcome
		number   uint8
		name     string
		message  string
		accepted bool
		counts   bool
	}{
		{Undecided, 0, "undecided", "undecided", false, false},
		{OK, 1, "ok", "ok", true, true},
		{OKAgain, 2, "ok_again", "ok", true, false},
		{Invalid, 3, "invalid", "proof invalid", false, true},
		{InvalidAgain, 4, "invalid_again", "proof invalid", false, false},
		{AlreadyAnswered, 5, "already_answered", "Challenge already answered", false, false},
		{ContractExpired, 6, "expired", "contract expired", false, false},
		{ContractNotFound, 7, "not_found", "contract not found", false, false},
		{TooManyWrong, 8, "too_many_wrong", "too many wrong answers", false, false},
		{Malformed, 9, "malformed", "malformed item: file_hash must be a string, and proof must be present", false, false},
	}
	if len(tests) != int(outcomes) {
		t.Errorf("there are %d outcomes, the test has %d", outcomes, len(tests))
	}
	for _, tt := range tests {
		o := tt.outcome
		if uint8(o) != tt.number || o.String() != tt.name || o.Message() != tt.message ||
			o.Accepted() != tt.accepted || counts(o) != tt.counts || !o.Valid() {
			t.Errorf("%d: %s, %q, accepted %t, counts %t; want %+v", o, o, o.Message(), o.Accepted(), counts(o), tt)
		}
	}
	if later := outcomes; later.Valid() || later.String() != "unknown" || later.Accepted() || counts(later) {
		t.Errorf("an outcome of a later version is %s", fmt.Sprint(later))
	}
}
