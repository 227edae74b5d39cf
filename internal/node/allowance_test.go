package node

import (
	"math"
	"testing"
)

func TestNarrow(t *testing.T) {
	t.Parallel()
	const most = math.MaxInt64
	limits := UnprovenLimits{Contracts: 20, Bytes: 64}
	for name, c := range map[string]struct {
		limits UnprovenLimits
		ask    Allowance
		held   Held
		factor int64
		want   Allowance
	}{
		"a newcomer below the limits":           {limits, Allowance{10, 50}, Held{}, 1, Allowance{10, 50}},
		"a newcomer above the limits":           {limits, Allowance{30, 100}, Held{}, 1, Allowance{20, 64}},
		"some contracts are not proved":         {limits, Allowance{30, 100}, Held{15, 60, 15, 60}, 1, Allowance{5, 4}},
		"all contracts are not proved":          {limits, Allowance{30, 100}, Held{20, 64, 20, 64}, 1, Allowance{0, 0}},
		"more than the limit is not proved":     {limits, Allowance{30, 100}, Held{40, 900, 40, 900}, 1, Allowance{0, 0}},
		"proved contracts do not count":         {limits, Allowance{30, 100}, Held{10, 30, 0, 0}, 1, Allowance{20, 64}},
		"as much as is proved":                  {limits, Allowance{most, most}, Held{300, 7000, 0, 0}, 1, Allowance{300, 7000}},
		"as much as is proved, less unproven":   {limits, Allowance{most, most}, Held{300, 7000, 100, 1000}, 1, Allowance{100, 5000}},
		"four times for an address":             {limits, Allowance{most, most}, Held{30, 64, 30, 64}, UnprovenFactor, Allowance{50, 192}},
		"no limits":                             {UnprovenLimits{}, Allowance{7, most}, Held{40, 900, 40, 900}, 1, Allowance{7, most}},
		"no limit of bytes":                     {UnprovenLimits{Contracts: 20}, Allowance{most, most}, Held{}, 1, Allowance{20, most}},
		"no limit of contracts":                 {UnprovenLimits{Bytes: 64}, Allowance{most, most}, Held{}, 1, Allowance{most, 64}},
		"the largest limits":                    {UnprovenLimits{most, most}, Allowance{5, most}, Held{}, UnprovenFactor, Allowance{5, most}},
		"a request for more than all":           {limits, Allowance{most, most}, Held{1, 1, 1, 1}, 1, Allowance{19, 63}},
		"unproven exceeds held, after a repair": {limits, Allowance{most, most}, Held{0, 0, 5, 5}, 1, Allowance{15, 59}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := c.limits.Narrow(c.ask, c.held, c.factor); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// An honest farmer proves everything that it has before it asks again.
func TestHonestFarmerDoubles(t *testing.T) {
	t.Parallel()
	limits := UnprovenLimits{Contracts: 20, Bytes: 64}
	var held Held
	for round, want := range []int64{20, 40, 80, 160, 320} {
		got := limits.Narrow(Allowance{math.MaxInt64, math.MaxInt64}, held, 1)
		held.Contracts += got.Contracts
		held.Bytes += got.Bytes
		if held.Contracts != want {
			t.Errorf("round %d: %d contracts, want %d", round, held.Contracts, want)
		}
	}
}

func TestInventoryShare(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		share   float64
		waiting int64
		want    int64
	}{
		"a tenth":            {0.1, 250, 25},
		"rounded down":       {0.1, 259, 25},
		"a small inventory":  {0.1, 3, 1},
		"an empty inventory": {0.1, 0, 1},
		"everything":         {1, 250, 250},
		"no limit":           {0, 250, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := InventoryShare(c.share, c.waiting); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

func TestFits(t *testing.T) {
	t.Parallel()
	limits := UnprovenLimits{Contracts: 20, Bytes: 64}
	for name, c := range map[string]struct {
		limits     UnprovenLimits
		own, there Held
		want       bool
	}{
		"nothing":                             {limits, Held{}, Held{80, 256, 80, 256}, true},
		"only proved contracts":               {limits, Held{9, 9, 0, 0}, Held{80, 256, 80, 256}, true},
		"just enough room":                    {limits, Held{20, 20, 20, 20}, Held{60, 60, 60, 60}, true},
		"too many contracts":                  {limits, Held{20, 20, 20, 20}, Held{61, 61, 61, 61}, false},
		"too many bytes":                      {limits, Held{1, 60, 1, 60}, Held{4, 197, 4, 197}, false},
		"as much as both have proved":         {limits, Held{70, 70, 20, 20}, Held{130, 130, 80, 80}, true},
		"more than both have proved":          {limits, Held{70, 70, 20, 20}, Held{130, 130, 81, 81}, false},
		"a contract larger than the limits":   {limits, Held{1, 900, 1, 900}, Held{5, 100, 0, 0}, true},
		"the same beside one without a proof": {limits, Held{1, 900, 1, 900}, Held{1, 1, 1, 1}, false},
		"no limits":                           {UnprovenLimits{}, Held{9, 9, 9, 9}, Held{9000, 9000, 9000, 9000}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := c.limits.Fits(c.own, c.there, UnprovenFactor); got != c.want {
				t.Errorf("%t, want %t", got, c.want)
			}
		})
	}
}
