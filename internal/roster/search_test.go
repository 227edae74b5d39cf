package roster

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

// someView is n farmers, of addresses in few letters so that words are found.
func someView(n int) *View {
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Unix(1_800_000_000, 0)
	news := &store.FarmerNews{}
	for i := range n {
		id := sha256.Sum256([]byte(fmt.Sprint(i)))
		address := make([]byte, 26+random.IntN(9))
		for at := range address {
			address[at] = "1aBc"[random.IntN(4)]
		}
		f := node.Farmer{ID: hex.EncodeToString(id[:10]), Address: string(address), Size: random.Int64N(1 << 40)}
		if random.IntN(2) == 0 {
			f.Uptime.End = now.Add(time.Hour)
		}
		news.Changed = append(news.Changed, &store.FarmerRecord{Farmer: f})
	}
	return newView(now, nil, news)
}

// A search finds what looking at each farmer finds, in the same order.
func TestSearchFindsAll(t *testing.T) {
	t.Parallel()
	v := someView(500)
	words := []string{"a", "1", "1aBc", "abc", "cB", "7", "f0", "1\na", "\n", "ABC", "none", v.farmers[0].ID, v.farmers[499].ID[:3], v.farmers[250].Address}
	for _, word := range words {
		for _, online := range []bool{false, true} {
			var want []string
			every, _ := v.List(Query{Sort: BySize, Desc: true})
			for f := range every {
				if (strings.HasPrefix(f.ID, strings.ToLower(word)) || strings.Contains(f.Address, word)) && (!online || f.Uptime.Online(v.Time)) {
					want = append(want, f.ID)
				}
			}
			var got []string
			found, total := v.List(Query{Sort: BySize, Desc: true, Search: word, Online: online})
			for f := range found {
				got = append(got, f.ID)
			}
			if !slices.Equal(got, want) || total != len(want) {
				t.Errorf("%q, online %v: %d of %d found, want %d", word, online, len(got), total, len(want))
			}
		}
	}
	if none, total := someView(0).List(Query{Search: "a"}); total != 0 {
		t.Errorf("among nobody are found %v", none)
	}
}

func BenchmarkSearch(b *testing.B) {
	v := someView(100_000)
	for _, word := range []string{"1aBc1aBc1", "a", "nobody"} {
		b.Run(word, func(b *testing.B) {
			for b.Loop() {
				v.List(Query{Sort: BySize, Desc: true, Search: word, Limit: 50})
			}
		})
	}
}
