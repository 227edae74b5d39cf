package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// start is the time at which tests begin. The store does not read a clock.
var start = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

const interval = time.Minute

// onEach runs a test on every database.
func onEach(t *testing.T, test func(t *testing.T, s *fixture)) {
	t.Helper()
	testenv.OnEach(t, []string{MySQL, SQLite}, func(t *testing.T, driver string) {
		test(t, newFixture(t, driver))
	})
}

// newDatabase creates the MySQL database of a fixture. With the build tag clusters it is
// on a Galera cluster.
var newDatabase = testenv.NewDatabase

// fixture is a store with a heartbeat key, and helpers to fill it.
type fixture struct {
	*Store
	key  int64
	made atomic.Int64 // number of chunks and tokens that the fixture has created
}

func newFixture(t testing.TB, driver string) *fixture {
	t.Helper()
	cfg := config.Default[Config]()
	cfg.Driver, cfg.Path = driver, filepath.Join(t.TempDir(), "node #1?.db")
	if driver == MySQL {
		cfg.DSN = config.Secret(newDatabase(t))
	} else {
		must(t, os.WriteFile(cfg.Path, migratedSQLite(), 0o600))
	}
	f := &fixture{Store: openStore(t, cfg)}
	must(t, f.Migrate(t.Context()))
	keys, err := f.RegisterKeys(t.Context(), []Key{{Fingerprint: "one", Type: "Merkle"}}, nil, start)
	must(t, err)
	f.key = keys[0].ID
	return f
}

// migratedSQLite returns the content of an empty SQLite file with all tables. Under
// the race detector, SQLite takes long to create the tables.
var migratedSQLite = sync.OnceValue(func() []byte {
	dir, err := os.MkdirTemp("", "store-test-*")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	cfg := Config{Driver: SQLite, Path: filepath.Join(dir, "node.db")}
	s, err := Open(cfg, slog.Default())
	if err == nil {
		err = errors.Join(s.Migrate(context.Background()), s.Close())
	}
	if err != nil {
		panic(err)
	}
	file, err := os.ReadFile(cfg.Path)
	if err != nil {
		panic(err)
	}
	return file
})

// openStore opens a store. A second store on the same database acts as another
// process.
func openStore(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg, slog.Default())
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	if cfg.Driver == SQLite { // no test needs the data after a power cut
		must(t, s.write.Exec("PRAGMA synchronous = OFF").Error)
	}
	return s
}

var must = testenv.Must

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// token creates a token for the SJCX address.
func (f *fixture) token(t testing.TB, address string) Token {
	t.Helper()
	hash := node.NewToken().Hash()
	made := f.made.Add(1)
	ip := fmt.Sprintf("2001:db8::%x", made)
	created := start.Add(time.Duration(made) * time.Microsecond) // limits count tokens by age
	must(t, f.CreateToken(t.Context(), NewToken{Hash: hash, Address: address, IP: ip, KeyID: f.key}, TokenLimits{}, created))
	token, err := f.Token(t.Context(), hash)
	must(t, err)
	return token
}

// move records the token at an IP address, without limits.
func (f *fixture) move(t testing.TB, token *Token, ip string, location *node.Location) {
	t.Helper()
	moved, err := f.MoveToken(t.Context(), token.ID, ip, location, HandOutLimits{})
	must(t, err)
	if !moved {
		t.Fatalf("token %d does not move to %s", token.ID, ip)
	}
	token.IP = ip
}

// stock adds chunks of these sizes to the inventory.
func (f *fixture) stock(t testing.TB, sizes ...int64) {
	t.Helper()
	for _, size := range sizes {
		must(t, f.Stock(t.Context(), 0, f.chunk(size), start))
	}
}

func (f *fixture) chunk(size int64) NewChunk {
	seed := fmt.Sprintf("seed %d", f.made.Add(1))
	return NewChunk{
		Seed:      seed,
		Hash:      sha256.Sum256([]byte(seed)),
		Size:      size,
		KeyID:     f.key,
		Challenge: []byte("challenge 0 of " + seed),
		State:     []byte("state 0 of " + seed),
		Tag:       bytes.NewReader([]byte("tag of " + seed)),
	}
}

// held is a contract of a token, with its id.
type held struct {
	HandedOut
	ContractID int64
}

// contracts adds chunks of these sizes to the inventory and hands them out to the
// token.
func (f *fixture) contracts(t testing.TB, token Token, now time.Time, sizes ...int64) []held {
	t.Helper()
	f.stock(t, sizes...)
	out, err := f.HandOut(t.Context(), token, 1<<40, HandOutLimits{Contracts: len(sizes)}, interval, now)
	must(t, err)
	if len(out) != len(sizes) {
		t.Fatalf("%d contracts, want %d", len(out), len(sizes))
	}
	return f.held(t, token, out)
}

// held adds the ids to contracts that were handed out to the token.
func (f *fixture) held(t testing.TB, token Token, out []HandedOut) []held {
	t.Helper()
	contracts := make([]held, len(out))
	for i, h := range out {
		c, err := f.Contract(t.Context(), token.ID, h.FileHash)
		must(t, err)
		contracts[i] = held{h, c.ID}
	}
	return contracts
}

// Contract finds the token's contract for a file, or returns ErrNotFound.
func (f *fixture) Contract(ctx context.Context, tokenID int64, hash node.FileHash) (node.Contract, error) {
	name := node.ContractName{TokenID: tokenID, FileHash: hash}
	found, err := f.Contracts(ctx, []node.ContractName{name})
	if c, ok := found[name]; ok || err != nil {
		return c, err
	}
	return node.Contract{}, ErrNotFound
}

// answer returns a verdict on the first challenge of a contract.
func answer(token Token, h held, valid bool, received time.Time) Verdict {
	return Verdict{
		ContractID: h.ContractID,
		TokenID:    token.ID,
		Proof:      node.DigestOf(fmt.Appendf(nil, "%d %t", h.ContractID, valid)),
		Valid:      valid,
		Received:   received,
	}
}

// commit commits the verdicts and returns their outcomes.
func (f *fixture) commit(t testing.TB, verdicts ...Verdict) []node.Outcome {
	t.Helper()
	judged, err := f.Commit(t.Context(), verdicts, 3)
	must(t, err)
	outcomes := make([]node.Outcome, len(judged))
	for i, j := range judged {
		outcomes[i] = j.Outcome
	}
	return outcomes
}

// issue issues the next challenge of a contract.
func issue(c *node.Contract) error {
	c.Issue(fmt.Appendf(nil, "challenge %d", c.Sequence+1), fmt.Appendf(nil, "state %d", c.Sequence+1), c.Due)
	return nil
}

// farmer returns the token's farmer as the status API reads it.
func (f *fixture) farmer(t testing.TB, token Token, now time.Time) node.Farmer {
	t.Helper()
	farmer, err := f.Farmer(t.Context(), token.FarmerID, now)
	must(t, err)
	return farmer
}

func (f *fixture) count(t testing.TB, table, where string, args ...any) (n int64) {
	t.Helper()
	must(t, f.read.Table(table).Where(where, args...).Count(&n).Error)
	return n
}

// checkInvariant fails the test if the counts of a token differ from its rows.
func (f *fixture) checkInvariant(t testing.TB) {
	t.Helper()
	var wrong []struct{ FarmerID, Counts string }
	must(t, f.read.Raw("SELECT t.farmer_id, t.contracts AS counts FROM tokens t WHERE"+
		" t.contracts <> (SELECT COUNT(*) FROM contracts c WHERE c.token_id = t.id AND c.live = 1) OR"+
		" t.size <> (SELECT COALESCE(SUM(c.size), 0) FROM contracts c WHERE c.token_id = t.id AND c.live = 1)").
		Scan(&wrong).Error)
	if len(wrong) > 0 {
		t.Errorf("the counts of %d tokens differ from their rows: %v", len(wrong), wrong)
	}
	if n := f.count(t, "contents g", "g.live <> (SELECT COUNT(*) FROM files f JOIN contracts c ON c.file_id = f.id WHERE f.content_id = g.id AND c.live = 1)"+
		" OR g.renew <> (SELECT COUNT(*) FROM files f JOIN contracts c ON c.file_id = f.id WHERE f.content_id = g.id AND c.live = 1 AND c.completed = 1)"+
		" OR g.waiting <> (SELECT COUNT(*) FROM files f JOIN chunks c ON c.file_id = f.id WHERE f.content_id = g.id)"); n > 0 {
		t.Errorf("the counts of %d contents differ from their copies", n)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"no driver":   {},
		"bad DSN":     {Driver: MySQL, DSN: "what"},
		"no database": {Driver: MySQL, DSN: "node@tcp(127.0.0.1:1)/"},
		"no path":     {Driver: SQLite},
		"memory":      {Driver: SQLite, Path: ":memory:"},
		"no folder":   {Driver: SQLite, Path: filepath.Join(t.TempDir(), "none", "node.db")},
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := Open(cfg, slog.Default()); err == nil {
				s.Close()
				t.Error("opened")
			}
		})
	}
}

// A node can start before its database, so Open must not need the server.
func TestOpenWithoutServer(t *testing.T) {
	t.Parallel()
	s := openStore(t, Config{Driver: MySQL, DSN: "node@tcp(127.0.0.1:1)/node"})
	wantErr(t, s.Ping(t.Context()), ErrUnavailable)
	_, _, err := s.SchemaVersion(t.Context())
	wantErr(t, err, ErrUnavailable)
	_, err = s.Commit(t.Context(), []Verdict{{}}, 3)
	wantErr(t, err, ErrUnavailable)
}

func TestIPHashKey(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		keys := make(chan []byte, 8)
		for range cap(keys) {
			go func() {
				key, err := f.IPHashKey(context.WithoutCancel(t.Context()))
				if err != nil {
					t.Error(err)
				}
				keys <- key
			}()
		}
		first := <-keys
		for range cap(keys) - 1 {
			if key := <-keys; len(key) != 32 || !bytes.Equal(key, first) {
				t.Errorf("keys %x and %x", first, key)
			}
		}
	})
}

func TestRegisterKeys(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		one, two := Key{Fingerprint: "one", Type: "Merkle"}, Key{Fingerprint: "two", Type: "Swizzle"}
		keys, err := f.RegisterKeys(t.Context(), []Key{two, one}, nil, start)
		must(t, err)
		if keys[1].ID != f.key || keys[0].ID == f.key {
			t.Errorf("keys %v; key one has %d", keys, f.key)
		}
		again, err := f.RegisterKeys(t.Context(), []Key{one, two}, nil, start)
		must(t, err)
		if again[0] != keys[1] || again[1] != keys[0] {
			t.Errorf("keys %v, then %v in the other order", keys, again)
		}
		_, err = f.RegisterKeys(t.Context(), []Key{one}, nil, start)
		wantErr(t, err, ErrKeyMissing)
		if !bytes.Contains([]byte(err.Error()), []byte("two")) {
			t.Errorf("%v does not name the key", err)
		}
		_, err = f.RegisterKeys(t.Context(), []Key{one, {Fingerprint: "two", Type: "Merkle"}}, nil, start)
		wantErr(t, err, ErrKeyMissing)
	})
}
