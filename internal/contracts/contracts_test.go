package contracts_test

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/contracts"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var must = testenv.Must

// aNode is a store with contracts, a cache and a reader of both.
type aNode struct {
	store  *store.Store
	redis  *redisdb.DB
	reader *contracts.Reader
	now    time.Time
	names  []node.ContractName
}

func onEach(t *testing.T, test func(*testing.T, *aNode)) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		db, err := redisdb.Embedded(redisdb.Options{Namespace: "test"})
		must(t, err)
		cfg := config.Default[store.Config]()
		cfg.Path = filepath.Join(t.TempDir(), "node.db")
		test(t, open(t, cfg, db))
	})
	t.Run("servers", func(t *testing.T) {
		t.Parallel()
		db, err := redisdb.Open(redisdb.Options{Namespace: "test", Config: redisdb.Config{URL: config.Secret(testenv.NewRedis(t))}})
		must(t, err)
		cfg := config.Default[store.Config]()
		cfg.Driver, cfg.DSN = store.MySQL, config.Secret(testenv.NewDatabase(t))
		test(t, open(t, cfg, db))
	})
}

// open opens a node with two contracts.
func open(t *testing.T, cfg store.Config, db *redisdb.DB) *aNode {
	t.Helper()
	t.Cleanup(func() { db.Close() })
	log := slog.New(slog.DiscardHandler)
	st, err := store.Open(cfg, log)
	must(t, err)
	t.Cleanup(func() { st.Close() })
	must(t, st.Migrate(t.Context()))
	n := &aNode{store: st, redis: db, reader: contracts.NewReader(db, st, log), now: time.Now().UTC().Truncate(time.Microsecond)}

	keys, err := st.RegisterKeys(t.Context(), []store.Key{{Fingerprint: "key", Type: "Merkle"}}, nil, n.now)
	must(t, err)
	token := node.Token{1}
	must(t, st.CreateToken(t.Context(), store.NewToken{Hash: token.Hash(), Address: "address", IP: "192.0.2.1", KeyID: keys[0].ID}, store.TokenLimits{}, n.now))
	record, err := st.Token(t.Context(), token.Hash())
	must(t, err)
	for i := range 2 {
		must(t, st.Stock(t.Context(), 0, store.NewChunk{
			Seed: string(rune('a' + i)), Hash: node.FileHash{byte(i)}, Size: 100, KeyID: keys[0].ID,
			Challenge: []byte("challenge"), State: []byte("state"), Tag: bytes.NewReader([]byte("tag")),
		}, n.now))
	}
	handed, err := st.HandOut(t.Context(), record, 200, store.HandOutLimits{Contracts: 2}, time.Hour, n.now)
	must(t, err)
	for _, c := range handed {
		n.names = append(n.names, node.ContractName{TokenID: record.ID, FileHash: c.FileHash})
	}
	return n
}

func accept(int, *node.Contract) bool { return false }

// rejectOld rejects a contract whose State is "old".
func rejectOld(_ int, c *node.Contract) bool { return string(c.State) == "old" }

// cache puts a copy of a contract into the cache. The State of the copy is "old".
func (n *aNode) cache(t *testing.T, name node.ContractName) {
	t.Helper()
	found, err := n.store.Contracts(t.Context(), []node.ContractName{name})
	must(t, err)
	c := found[name]
	c.State = []byte("old")
	must(t, n.redis.Contracts().Put(t.Context(), []node.Contract{c}))
}

// want reads contracts and compares their State. "" means that there is no
// contract.
func (n *aNode) want(t *testing.T, names []node.ContractName, rejects func(int, *node.Contract) bool, states ...string) {
	t.Helper()
	found, err := n.reader.Read(t.Context(), names, rejects)
	must(t, err)
	if len(found) != len(states) {
		t.Fatalf("%d contracts, want %d", len(found), len(states))
	}
	for i, want := range states {
		got := ""
		if c := found[i]; c != nil {
			got = string(c.State)
			if c.Name() != names[i] {
				t.Errorf("contract %d is %v, want %v", i, c.Name(), names[i])
			}
		}
		if got != want {
			t.Errorf("contract %d has the state %q, want %q", i, got, want)
		}
	}
}

// A cached contract may confirm an accepted proof. It must not be used to reject a
// proof; read MySQL first.
func TestCachedContractConfirmsButDoesNotReject(t *testing.T) {
	onEach(t, func(t *testing.T, n *aNode) {
		a, b := n.names[0], n.names[1]
		unknown := node.ContractName{TokenID: a.TokenID, FileHash: node.FileHash{0xff}}
		all := []node.ContractName{unknown, b, a}

		n.want(t, nil, accept)
		n.want(t, all, accept, "", "state", "state") // the cache is empty
		cached, err := n.redis.Contracts().Get(t.Context(), all)
		must(t, err)
		if cached[0] != nil || cached[1] == nil || cached[2] == nil {
			t.Errorf("cached after a read: %v", cached)
		}

		n.cache(t, a)
		n.want(t, all, accept, "", "state", "old")
		n.want(t, all, rejectOld, "", "state", "state")
		n.want(t, all, accept, "", "state", "state") // the read updated the cache

		// Two proofs are for one contract. The copy confirms only the first proof.
		n.cache(t, a)
		second := func(i int, _ *node.Contract) bool { return i == 1 }
		n.want(t, []node.ContractName{a, a, b}, second, "state", "state", "state")

		n.cache(t, a)
		n.reader.Forget(t.Context(), []node.ContractName{a})
		n.want(t, all, accept, "", "state", "state")

		must(t, n.redis.Close())
		n.want(t, all, rejectOld, "", "state", "state")
		n.reader.Share(t.Context(), []node.Contract{{}}) // the write fails, but Share returns no error
		n.reader.Forget(t.Context(), all)
	})
}

func TestReadFailsOnlyIfItNeedsTheStore(t *testing.T) {
	onEach(t, func(t *testing.T, n *aNode) {
		n.cache(t, n.names[0])
		must(t, n.store.Close())
		n.want(t, n.names[:1], accept, "old")
		if found, err := n.reader.Read(t.Context(), n.names[:1], rejectOld); err == nil {
			t.Errorf("read %v from a closed store", found)
		}
	})
}
