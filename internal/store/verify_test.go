package store

import (
	"testing"
	"time"
)

// TestSurvey checks what a survey finds in a database that fits, and after what an incomplete
// restore or a person can do to it.
func TestSurvey(t *testing.T) {
	tests := []struct {
		name                      string
		foreign                   bool
		damage                    string
		live, keyless, miscounted int64
	}{
		{"nothing is wrong", false, "UPDATE tokens SET contracts = contracts", 3, 0, 0},
		{"a key is missing", true, "DELETE FROM heartbeat_keys", 3, 3, 0},
		{"contracts are missing", false, "DELETE FROM contracts WHERE size = 2", 2, 0, 1},
		{"tokens are missing", true, "DELETE FROM tokens WHERE contracts = 2", 3, 0, 0},
	}
	onEach(t, func(t *testing.T, f *fixture) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				f := newFixture(t, f.cfg.Driver)
				f.contracts(t, f.token(t, "a"), start, 1, 2)
				f.contracts(t, f.token(t, "b"), start, 4)
				must(t, f.Claim(t.Context(), Owner{"farm.node", "uid"}))
				_, err := f.NewProcess("worker-1", KindWorker).Beat(t.Context())
				must(t, err)
				f.damage(t, tt.foreign, tt.damage)
				v, err := f.Survey(t.Context())
				must(t, err)
				if v.Live != tt.live || v.Keyless != tt.keyless || v.Miscounted != tt.miscounted {
					t.Errorf("%+v, want live %d, keyless %d, miscounted %d", v, tt.live, tt.keyless, tt.miscounted)
				}
				if v.Have != v.Want || v.Owner.Name != "farm.node" || time.Since(v.Seen) > time.Minute {
					t.Errorf("%+v", v)
				}
				if len(v.Keys) > 0 && v.Keys[0].Contracts != tt.live {
					t.Errorf("%+v, want %d contracts of the first key", v.Keys, tt.live)
				}
			})
		}
		must(t, f.MigrateDown(t.Context(), 13))
		if v, err := f.Survey(t.Context()); err != nil || v.Have != 13 || v.Want <= 13 || v.Keys != nil {
			t.Errorf("older tables: %+v, %v", v, err)
		}
	})
}
