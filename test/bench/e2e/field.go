package main

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb"
)

// field is farmers with contracts, all written straight to the database, which
// the measurements answer and set back as often as they like.
//
// Making a tag takes longer than everything that is measured with it, and so
// several farmers hold the same file. Nothing in the node gains by it: each
// contract has its own row and its own copy of challenge and state.
type field struct {
	b         *bench
	node      *running
	scheme    heartbeat.Type
	states    redisdb.Contracts
	files     []encoded
	farmers   []holder
	contracts []node.Contract // farmer by farmer
	round     int64           // how often the contracts were set back
	told      int64           // answers that the node said ok to
}

// holder is a farmer of the field, and the files that it holds.
type holder struct {
	token node.Token
	id    int64
	files []encoded
}

// interval is that of the contracts: longer than any run.
const interval = time.Hour

// newField makes farmers with some contracts each, for files that are encoded
// with the node's key of that scheme.
func newField(b *bench, n *running, scheme heartbeat.Type, files []encoded, farmers, each int) *field {
	_, keyID := n.key(b, scheme)
	f := &field{b: b, node: n, scheme: scheme, states: n.states(b), files: files}
	b.progress.Step("writing %d contracts", farmers*each)
	rows, fileIDs := fileTable(&n.ids, f.files, keyID)
	tokens, addresses := f.addFarmers(farmers, each, keyID)
	contracts := f.contractTable(fileIDs, keyID)
	if err := insert(b.ctx, n.db, rows, addresses, tokens, contracts); err != nil {
		b.Fatal(err)
	}
	return f
}

// key is the node's key of that scheme, and its id in the database.
func (n *running) key(b *bench, scheme heartbeat.Type) (heartbeat.Heartbeat, int64) {
	path := map[heartbeat.Type]string{heartbeat.Merkle: n.MerkleKey, heartbeat.Swizzle: n.SwizzleKey}[scheme]
	keys, err := keyring.Load([]string{path})
	if err != nil {
		b.Fatal(err)
	}
	var id int64
	row := n.db.QueryRowContext(b.ctx, "SELECT id FROM heartbeat_keys WHERE type = ?", string(scheme))
	if err := row.Scan(&id); err != nil {
		b.Fatal(err)
	}
	return keys[0], id
}

// states are the copies of contracts in the node's Redis.
func (n *running) states(b *bench) redisdb.Contracts {
	opt := n.OpenRedis(b).Options()
	db, err := redisdb.Open(redisdb.Options{Config: redisdb.Config{Addrs: []string{opt.Addr}, DB: opt.DB}, Namespace: "downstream"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	return db.Contracts()
}

func fileTable(ids *ids, files []encoded, keyID int64) (t *table, fileIDs map[node.FileHash]int64) {
	t = &table{name: "files", columns: []string{"id", "hash", "seed", "size", "key_id", "tag_size", "redundancy"}}
	fileIDs = make(map[node.FileHash]int64, len(files))
	for _, e := range files {
		ids.file++
		fileIDs[e.hash] = ids.file
		t.add(ids.file, e.hash[:], e.seed, e.size, keyID, len(e.tag), 1)
	}
	return t, fileIDs
}

func (f *field) addFarmers(farmers, each int, keyID int64) (tokens, addresses *table) {
	addresses = &table{name: "addresses", columns: []string{"id", "address"}}
	tokens = &table{name: "tokens", columns: []string{
		"id", "hash", "farmer_id", "address_id", "key_id", "ip", "contracts", "size", "created",
	}}
	groups := slices.Collect(slices.Chunk(f.files, each))
	for i := range farmers {
		f.node.ids.token++
		h := holder{token: node.NewToken(), id: f.node.ids.token, files: groups[i%len(groups)]}
		f.farmers = append(f.farmers, h)
		hash := h.token.Hash()
		addresses.add(h.id, fmt.Sprintf("address %d of the bench", h.id))
		tokens.add(h.id, hash[:], hash.FarmerID(), h.id, keyID, "127.0.0.1", len(h.files), len(h.files)*fileSize, time.Now().UnixMicro())
	}
	return tokens, addresses
}

// contractTable gives each farmer a contract for each of its files. Nothing of
// it awaits an answer before reopen.
func (f *field) contractTable(fileIDs map[node.FileHash]int64, keyID int64) *table {
	t := &table{name: "contracts", columns: []string{
		"id", "token_id", "file_id", "file_hash", "key_id", "size", "period", "version", "sequence",
		"challenge", "state", "due", "answered", "accepted", "wrong", "expiry", "live",
	}}
	due := time.Now().Add(interval).UnixMicro()
	for _, h := range f.farmers {
		for _, e := range h.files {
			f.node.ids.contract++
			c := node.Contract{
				ID: f.node.ids.contract, TokenID: h.id, KeyID: keyID, FileHash: e.hash, Size: e.size,
				Interval: interval, Challenge: e.challenge, State: e.state,
			}
			f.contracts = append(f.contracts, c)
			t.add(c.ID, c.TokenID, fileIDs[e.hash], e.hash[:], keyID, e.size, interval.Microseconds(), 0, 0,
				e.challenge, e.state, due, false, unanswered, []byte{}, due, true)
		}
	}
	return t
}

// unanswered is what the node has for the digest of a proof that is still to
// come: as long as one, so that an answer leaves a row as long as it was.
var unanswered = make([]byte, len(node.Digest{}))

// roundStep is by how much a contract's version grows when it is set back: an
// answer adds less, so that no older copy passes for a newer one.
const roundStep = 1 << 10

// reopen issues the contracts' challenge anew: in the database, and in the
// copies in Redis, as the node itself leaves them when it issues a challenge.
func (f *field) reopen() {
	f.round++
	due := time.Now().Add(interval).Truncate(time.Microsecond).UTC()
	_, err := f.node.db.ExecContext(f.b.ctx, "UPDATE contracts SET version = ?, sequence = ?, answered = 0, accepted = ?,"+
		" wrong = '', due = ?, expiry = ?, live = 1 WHERE id BETWEEN ? AND ?",
		f.round*roundStep, f.round, unanswered, due.UnixMicro(), due.UnixMicro(), f.contracts[0].ID, f.contracts[len(f.contracts)-1].ID)
	if err != nil {
		f.b.Fatal(err)
	}
	group, ctx := errgroup.WithContext(f.b.ctx)
	group.SetLimit(4)
	for chunk := range slices.Chunk(f.contracts, 1000) {
		group.Go(func() error {
			for i := range chunk {
				chunk[i].Version, chunk[i].Sequence, chunk[i].Due = f.round*roundStep, f.round, due
			}
			return f.states.Put(ctx, chunk)
		})
	}
	if err := group.Wait(); err != nil {
		f.b.Fatal(err)
	}
}

// check holds what the farmers were told against what the node wrote down: as
// many heartbeats, and no wrong proof.
func (f *field) check() {
	var heartbeats, wrong sql.NullInt64
	row := f.node.db.QueryRowContext(f.b.ctx, "SELECT SUM(heartbeats), SUM(wrong) FROM tokens WHERE id BETWEEN ? AND ?",
		f.farmers[0].id, f.farmers[len(f.farmers)-1].id)
	if err := row.Scan(&heartbeats, &wrong); err != nil {
		f.b.Fatal(err)
	}
	if heartbeats.Int64 != f.told || wrong.Int64 != 0 {
		f.b.Fatalf("the node was told of %d heartbeats and %d wrong proofs, the farmers of %d heartbeats",
			heartbeats.Int64, wrong.Int64, f.told)
	}
}

// ids are the last ones given in each table: rows are written with ids of
// their own, so that they can name each other.
type ids struct{ token, file, contract int64 }

// table is rows on their way into the database.
type table struct {
	name    string
	columns []string
	rows    [][]any
}

func (t *table) add(values ...any) { t.rows = append(t.rows, values) }

// insertRows bounds the rows of one statement.
const insertRows = 500

// insert writes the rows in one transaction.
func insert(ctx context.Context, db *sql.DB, tables ...*table) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	for _, t := range tables {
		for chunk := range slices.Chunk(t.rows, insertRows) {
			if _, err := tx.ExecContext(ctx, t.statement(len(chunk)), slices.Concat(chunk...)...); err != nil {
				return fmt.Errorf("insert into %s: %w", t.name, err)
			}
		}
	}
	return tx.Commit()
}

func (t *table) statement(rows int) string {
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", len(t.columns)), ",") + ")"
	return "INSERT INTO " + t.name + " (" + strings.Join(t.columns, ", ") + ") VALUES " +
		row + strings.Repeat(","+row, rows-1)
}
