package store

import "testing"

func TestClaim(t *testing.T) {
	first, again, other := Owner{"farm.node", "uid-1"}, Owner{"farm.node", "uid-2"}, Owner{"elsewhere.node", "uid-3"}
	onEach(t, func(t *testing.T, f *fixture) {
		has := func(want Owner) {
			t.Helper()
			got, err := f.Owner(t.Context())
			if err != nil || got != want {
				t.Errorf("the owner is %v, %v, want %v", got, err, want)
			}
		}
		has(Owner{})
		for range 2 {
			if err := f.Claim(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			has(first)
		}
		wantErr(t, f.Claim(t.Context(), other), ErrOtherOwner)
		has(first)
		if err := f.Claim(t.Context(), again); err != nil {
			t.Errorf("the node that was made again: %v", err)
		}
		has(again)
		if err := f.Disown(t.Context()); err != nil {
			t.Fatal(err)
		}
		has(Owner{})
		if err := f.Claim(t.Context(), other); err != nil {
			t.Errorf("after the move: %v", err)
		}
		has(other)
	})
}
