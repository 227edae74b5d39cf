package apiserver_test

import (
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

// copiesLife is how long a replica caches the counts of copies.
const copiesLife = 10 * time.Second

// goldenRedundancy shows a file while it gets two copies. Another file waits for a farmer,
// and a third one was encoded with a redundancy of 1.
func goldenRedundancy(t *testing.T, s *transcript) {
	s.comment("farmers hold no file that may have copies")
	first := s.newFarmer(t, 1)
	plain := first.takeOne(t, "plain")
	file := s.stockFile(t, "file", 0)
	s.get(t, s.replica, "/status/redundancy")
	s.get(t, s.replica, "/status/file/"+plain.FileHash)
	s.get(t, s.replica, "/status/file/"+file)

	s.comment("a farmer holds a copy; the numbers are not new yet")
	held := first.take(t, 100)
	s.Clock.Advance(copiesLife - 1)
	s.get(t, s.replica, "/status/redundancy")
	s.comment("another copy waits")
	s.Clock.Advance(1)
	r, _, err := s.Store.Reserve(t.Context(), s.Keys.Current().ID, node.Inventory{TotalSize: 1000, Redundancy: 2}, interval, s.Clock.Now())
	must(t, err)
	s.stockFile(t, "file", r.ContentID)
	s.get(t, s.replica, "/status/redundancy")
	s.get(t, s.replica, "/status/file/"+file)

	s.comment("the first copy is proved, the second one is not")
	second := &farmer{s.replica, s.harness, node.Token{15: 2}, "198.51.100.1"}
	must(t, s.Store.CreateToken(t.Context(), store.NewToken{
		Hash: second.token.Hash(), Address: "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV", IP: second.ip, KeyID: s.Keys.Current().ID,
	}, store.TokenLimits{}, s.Clock.Now()))
	other := second.take(t, 100)
	s.accept(t, first, held[0])
	s.stockFile(t, "waits", 0)
	s.Clock.Advance(copiesLife)
	s.get(t, s.replica, "/status/redundancy")
	s.get(t, s.replica, "/status/file/"+strings.ToUpper(file))
	s.comment("both are proved")
	s.accept(t, second, other[0])
	s.Clock.Advance(copiesLife)
	s.get(t, s.replica, "/status/redundancy")

	s.comment("workers look at the copies for an hour; no copy is lost")
	for range 13 {
		must(t, s.Store.RecordCopies(t.Context(), 2, s.Clock.Now()))
		s.Clock.Advance(5 * time.Minute)
	}
	s.get(t, s.replica, "/status/redundancy")
	s.comment("one copy is lost")
	must(t, s.Store.DeleteToken(t.Context(), second.token.Hash().FarmerID(), s.Clock.Now()))
	s.Clock.Advance(90 * time.Second)
	s.get(t, s.replica, "/status/redundancy")
	s.comment("it is replaced")
	r, _, err = s.Store.Reserve(t.Context(), s.Keys.Current().ID, node.Inventory{TotalSize: 1000, Redundancy: 2}, interval, s.Clock.Now())
	must(t, err)
	s.stockFile(t, "file", r.ContentID)
	third := &farmer{s.replica, s.harness, node.Token{15: 3}, "203.0.113.1"}
	must(t, s.Store.CreateToken(t.Context(), store.NewToken{
		Hash: third.token.Hash(), Address: "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", IP: third.ip, KeyID: s.Keys.Current().ID,
	}, store.TokenLimits{}, s.Clock.Now()))
	third.take(t, 100)
	s.Clock.Advance(copiesLife)
	s.get(t, s.replica, "/status/redundancy")

	s.comment("an unknown hash; an invalid hash")
	s.get(t, s.replica, "/status/file/"+strings.Repeat("0", 64))
	s.get(t, s.replica, "/status/file/"+strings.Repeat("0", 63))
}

// stockFile adds a file of which there are two copies to the inventory, or another copy of
// it, and returns its hash.
func (s *transcript) stockFile(t *testing.T, seed string, contentID int64) string {
	t.Helper()
	chunk := s.encode(t, s.Keys.Current(), seed, 100, heartbeat.EncodeOptions{Challenges: 4})
	chunk.ContentID, chunk.Redundancy = contentID, 2
	s.addChunk(t, chunk)
	return chunk.Hash.String()
}
