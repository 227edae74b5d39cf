package apiserver_test

import (
	"math"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
)

type detection struct {
	Lost        float64
	Within      int64
	Challenges  int
	Probability *float64
	Classes     []detectionClass
}

type detectionClass struct {
	Scheme      string
	Size        int64
	Probability float64
}

func TestDetectionIsPublished(t *testing.T) {
	onEach(t, defaultPlan, func(t *testing.T, h *harness) {
		const small, large = 1000, 200_000
		for _, size := range []int{small, large} {
			h.stock(t, "detection", int64(size), heartbeat.EncodeOptions{})
		}
		got := decodeOK[detection](t, h.replica.ask(t, "GET", api+"/status/detection", nil))
		if got.Lost != 0.01 || got.Within != 3600 || got.Challenges != int(3600/interval.Seconds()) || len(got.Classes) != 2 {
			t.Fatalf("%+v", got)
		}
		least := 1.0
		for i, size := range []int64{small, large} {
			want := h.Keys.Current().Detection(size, 0.01, got.Challenges, heartbeat.EncodeOptions{})
			c := got.Classes[i]
			if c.Size != size || c.Scheme != string(h.Keys.Current().Type()) || c.Probability > want || want-c.Probability > 1e-4 || want <= 0 {
				t.Errorf("%+v, want %v", c, want)
			}
			least = math.Min(least, c.Probability)
		}
		if got.Probability == nil || *got.Probability != least {
			t.Errorf("the node's probability is %v, want %v", got.Probability, least)
		}

		f := h.newFarmer(t, 1)
		if chunks := f.take(t, small); len(chunks) != 1 {
			t.Fatalf("%d contracts", len(chunks))
		}
		shown := decodeOK[struct{ Detection float64 }](t, h.replica.ask(t, "GET", api+"/status/show/"+f.token.Hash().FarmerID(), nil))
		if shown.Detection != got.Classes[0].Probability {
			t.Errorf("the farmer's probability is %v, want %v", shown.Detection, got.Classes[0].Probability)
		}
	})
}
