package scale_test

import (
	"testing"

	"github.com/driveshare/downstream-node/test/scale"
)

// Fill must make only records that the store itself could have written.
func TestFill(t *testing.T) {
	onEach(t, scale.Size{Farmers: 300, Contracts: 4000, Largest: 500}, func(t *testing.T, r *records) {
		for name, c := range map[string]struct {
			query    string
			min, max int
		}{
			"farmers":                              {"SELECT COUNT(*) FROM tokens", 300, 300},
			"farmers without contracts":            {"SELECT COUNT(*) FROM tokens WHERE up_since = 0", 15, 100},
			"farmers without a place":              {"SELECT COUNT(*) FROM tokens WHERE country IS NULL", 10, 60},
			"contracts":                            {"SELECT COUNT(*) FROM contracts", 4000, 4000},
			"contracts of the first farmer":        {"SELECT COUNT(*) FROM contracts WHERE token_id = 1", 500, 500},
			"swept contracts":                      {"SELECT COUNT(*) FROM contracts WHERE live = 0", 40, 160},
			"expired contracts that are not swept": {"SELECT COUNT(*) FROM contracts WHERE live = 1 AND expiry <= ?", 0, 5},
			"contracts with a file":                {"SELECT COUNT(*) FROM contracts c JOIN files f ON f.id = c.file_id WHERE f.hash = c.file_hash", 4000, 4000},
			"farmers with wrong counts": {"SELECT COUNT(*) FROM tokens t LEFT JOIN (SELECT token_id, SUM(live) AS n, SUM(live * size) AS size, MAX(expiry) AS up_end" +
				" FROM contracts GROUP BY token_id) c ON c.token_id = t.id WHERE t.contracts <> COALESCE(c.n, 0) OR" +
				" t.size <> COALESCE(c.size, 0) OR t.up_end <> COALESCE(c.up_end, 0)", 0, 0},
			"farmers with an impossible uptime": {"SELECT COUNT(*) FROM tokens WHERE up_start < up_since OR up_end < up_start OR up_before > up_start - up_since", 0, 0},
		} {
			var args []any
			if name == "expired contracts that are not swept" {
				args = append(args, start.UnixMicro())
			}
			var got int
			must(t, r.db.QueryRowContext(t.Context(), c.query, args...).Scan(&got))
			if got < c.min || got > c.max {
				t.Errorf("%s: %d, want %d to %d", name, got, c.min, c.max)
			}
		}
		if err := scale.Fill(t.Context(), r.db, r.size, r.terms, nil); err == nil {
			t.Error("Fill returned no error for a database that has farmers")
		}
		found, err := r.Token(t.Context(), scale.Token(7).Hash())
		if err != nil || found.ID != 8 {
			t.Errorf("the token of farmer 7 is %+v, %v; want id 8", found, err)
		}
	})
}
