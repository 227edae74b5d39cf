package redisdb

import (
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb/redistest"
)

func TestFirstArrivalStays(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		arrivals := open(t, s).Arrivals()
		first := time.Now().UTC().Truncate(time.Microsecond)
		var all []Arrival
		for i := range arrivalBatch + 10 {
			all = append(all, Arrival{
				Contract: node.ContractName{TokenID: 7, FileHash: node.FileHash{byte(i), byte(i >> 8)}},
				Proof:    node.Digest{1}, At: first.Add(time.Duration(i) * time.Microsecond),
			})
		}
		must(t, arrivals.Note(t.Context(), nil))
		must(t, arrivals.Note(t.Context(), all))
		later := make([]Arrival, len(all))
		for i, a := range all {
			later[i] = a
			later[i].At = a.At.Add(time.Second)
		}
		must(t, arrivals.Note(t.Context(), later))

		unknown := all[0]
		unknown.Proof = node.Digest{2}
		got, err := arrivals.Find(t.Context(), append([]Arrival{unknown}, all...))
		must(t, err)
		if len(got) != len(all)+1 || !got[0].IsZero() {
			t.Fatalf("%d arrivals, the first is %v", len(got), got[0])
		}
		for i, a := range all {
			if !got[i+1].Equal(a.At) {
				t.Fatalf("arrival %d is %v, want %v", i, got[i+1], a.At)
			}
		}
		if ttl := arrivals.db.Client.TTL(t.Context(), arrivals.key(all[0])).Val(); ttl <= 0 || ttl > arrivalTTL {
			t.Errorf("lifetime %v", ttl)
		}
		if got, err := arrivals.Find(t.Context(), nil); len(got) > 0 || err != nil {
			t.Errorf("found %v, %v", got, err)
		}
	})
}
