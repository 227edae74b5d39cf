package node

import (
	"math"
	"testing"
	"time"
)

// The expected times are computed by hand. For two and three copies without and with repairs
// they are (3l + m) / 2l² and (11l² + 4lm + m²) / 6l³, with the rate l of losses and m of repairs, and one repair at a
// time.
func TestDaysToLoss(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, test := range map[string]struct {
		seen              Repairs
		copies            int64
		expected, atLeast float64
	}{
		"nothing seen":                   {Repairs{}, 3, 0, 0},
		"no copies were live long":       {Repairs{Losses: 5}, 3, 0, 0},
		"one copy":                       {Repairs{Losses: 5, CopyDays: 100, Repairs: 9, Mean: time.Hour}, 1, 20, 0},
		"two, no repair":                 {Repairs{Losses: 10, CopyDays: 100}, 2, 15, 0},
		"two, repaired in a day":         {Repairs{Losses: 10, CopyDays: 100, Repairs: 10, Mean: day}, 2, 65, 0},
		"three, no repair":               {Repairs{Losses: 10, CopyDays: 100}, 3, 10.0/3 + 5 + 10, 0},
		"three, repaired in a day":       {Repairs{Losses: 10, CopyDays: 100, Repairs: 10, Mean: day}, 3, (0.11 + 0.4 + 1) / 0.006, 0},
		"three, repaired in two hours":   {Repairs{Losses: 10, CopyDays: 100, Repairs: 10, Mean: 2 * time.Hour}, 3, (0.11 + 4.8 + 144) / 0.006, 0},
		"no loss, one copy":              {Repairs{CopyDays: 300}, 1, 0, 100},
		"no loss, two copies":            {Repairs{CopyDays: 300}, 2, 0, 150},
		"no loss, but repairs":           {Repairs{CopyDays: 30, Repairs: 1, Mean: day}, 2, 0, 65},
		"repaired before the loss":       {Repairs{Losses: 10, CopyDays: 100, Repairs: 1, Mean: -day}, 2, 15 + 50*86400, 0},
		"eight, as finite as JSON needs": {Repairs{Losses: 1, CopyDays: 1e9, Repairs: 1, Mean: time.Second}, 8, math.Pow(1e9, 8) * math.Pow(86400, 7) / 40320, 0},
	} {
		expected, atLeast := test.seen.DaysToLoss(test.copies)
		if math.Abs(expected-test.expected) > 1e-6*test.expected || math.Abs(atLeast-test.atLeast) > 1e-6*test.atLeast {
			t.Errorf("%s: %v, at least %v; want %v, %v", name, expected, atLeast, test.expected, test.atLeast)
		}
	}
}
