package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb"
)

// farm is a set of farmers with contracts. The bench writes the farmers and the
// contracts to the database. A measurement sends proofs for the contracts. Then
// reopen makes the contracts unanswered again. This can be repeated any number of
// times.
//
// It takes longer to make a tag than to do all measurements with it, so several
// farmers hold the same file. This does not make the node faster, because each
// contract has its own row and its own copy of challenge and state.
type farm struct {
	b         *bench
	node      *running
	scheme    heartbeat.Type
	states    redisdb.Contracts
	files     []encoded
	farmers   []holder
	contracts []node.Contract // sorted by farmer
	round     int64           // number of calls of reopen
	accepted  int64           // number of proofs that the node accepted
}

// holder is a farmer with the files that it holds.
type holder struct {
	token node.Token
	id    int64
	files []encoded
}

// interval is the interval of the contracts. It is longer than any run.
const interval = time.Hour

// newFarm makes farmers that have each contracts. Their files are encoded with the
// node's heartbeat key of the scheme.
func newFarm(b *bench, n *running, scheme heartbeat.Type, files []encoded, farmers, each int) *farm {
	_, keyID := n.key(b, scheme)
	f := &farm{b: b, node: n, scheme: scheme, states: n.states(b), files: files}
	b.progress.Step("writing %d contracts", farmers*each)
	n.addFiles(b, files, keyID)
	f.farmers = n.addFarmers(b, files, farmers, each, keyID)
	f.addContracts(keyID)
	return f
}

// key returns the node's heartbeat key of a scheme, and the key's id in the
// database.
func (n *running) key(b *bench, scheme heartbeat.Type) (key heartbeat.Heartbeat, id int64) {
	path := map[heartbeat.Type]string{heartbeat.Merkle: n.MerkleKey, heartbeat.Swizzle: n.SwizzleKey}[scheme]
	keys, err := keyring.Load([]string{path})
	b.must(err)
	n.query(b, []any{&id}, "SELECT id FROM heartbeat_keys WHERE type = ?", string(scheme))
	return keys[0], id
}

// states returns the copies of contracts in the node's Redis. Without the database's
// incarnation, the node would not find them.
func (n *running) states(b *bench) redisdb.Contracts {
	opt := n.OpenRedis(b).Options()
	db, err := redisdb.Open(redisdb.Options{Config: redisdb.Config{Addrs: []string{opt.Addr}, DB: opt.DB}, Namespace: "downstream"})
	b.must(err)
	b.Cleanup(func() { db.Close() })
	var incarnation []byte
	n.query(b, []any{&incarnation}, "SELECT value FROM settings WHERE name = 'incarnation'")
	db.SetIncarnation(string(incarnation))
	return db.Contracts()
}

// addFiles records files and sets their ids.
func (n *running) addFiles(b *bench, files []encoded, keyID int64) {
	first := n.nextID(b, "files")
	n.insert(b, "files", "id, hash, seed, size, key_id, tag_size, redundancy", len(files), func(i int) []any {
		e := &files[i]
		e.id = first + int64(i)
		return []any{e.id, e.hash[:], e.seed, e.size, keyID, len(e.tag), 1}
	})
}

// addFarmers records farmers that hold each files.
func (n *running) addFarmers(b *bench, files []encoded, farmers, each int, keyID int64) []holder {
	groups := slices.Collect(slices.Chunk(files, each))
	holders := make([]holder, farmers)
	// The node deletes tokens without contracts, but keeps their addresses, so the ids differ.
	first, address := n.nextID(b, "tokens"), n.nextID(b, "addresses")
	for i := range holders {
		holders[i] = holder{token: node.NewToken(), id: first + int64(i), files: groups[i%len(groups)]}
	}
	n.insert(b, "addresses", "id, address", farmers, func(i int) []any {
		id := address + int64(i)
		return []any{id, fmt.Sprintf("address %d of the bench", id)}
	})
	n.insert(b, "tokens", "id, hash, farmer_id, address_id, key_id, ip, contracts, size, created", farmers, func(i int) []any {
		h := holders[i]
		hash := h.token.Hash()
		return []any{h.id, hash[:], hash.FarmerID(), address + int64(i), keyID, "127.0.0.1", len(h.files), len(h.files) * fileSize, time.Now().UnixMicro()}
	})
	return holders
}

// unanswered has the length of a proof's digest. So the length of a row does not
// change when the node accepts a proof.
var unanswered = make([]byte, len(node.Digest{}))

// addContracts gives each farmer a contract for each of its files. The contracts
// expect no proof before reopen is called.
func (f *farm) addContracts(keyID int64) {
	var rows [][]any
	next, due := f.node.nextID(f.b, "contracts"), time.Now().Add(interval).UnixMicro()
	for _, h := range f.farmers {
		for _, e := range h.files {
			f.contracts = append(f.contracts, node.Contract{
				ID: next, TokenID: h.id, KeyID: keyID, FileHash: e.hash, Size: e.size,
				Interval: interval, Challenge: e.challenge, State: e.state,
			})
			rows = append(rows, []any{
				next, h.id, e.id, e.hash[:], keyID, e.size, interval.Microseconds(), 0, 0,
				e.challenge, e.state, due, false, unanswered,
				[]byte{},
				due, true,
			})
			next++
		}
	}
	f.node.insert(f.b, "contracts", "id, token_id, file_id, file_hash, key_id, size, period, version, sequence,"+
		" challenge, state, due, answered, accepted, wrong, expiry, live", len(rows), func(i int) []any { return rows[i] })
}

// roundStep is the number that reopen adds to a contract's version. Accepted proofs
// add less, so an older copy is never treated as newer.
const roundStep = 1 << 10

// reopen issues the challenge of every contract again. It changes the database and
// the copies in Redis, as the node does.
func (f *farm) reopen() {
	f.round++
	due := time.Now().Add(interval).Truncate(time.Microsecond).UTC()
	f.node.exec(f.b, "UPDATE contracts SET version = ?, sequence = ?, answered = 0, accepted = ?,"+
		" wrong = '', due = ?, expiry = ?, live = 1 WHERE id BETWEEN ? AND ?",
		f.round*roundStep, f.round, unanswered, due.UnixMicro(), due.UnixMicro(), f.contracts[0].ID, f.contracts[len(f.contracts)-1].ID)
	chunks := slices.Collect(slices.Chunk(f.contracts, 1000))
	f.b.parallel(len(chunks), 4, func(ctx context.Context, i int) error {
		for j := range chunks[i] {
			c := &chunks[i][j]
			c.Version, c.Sequence, c.Due = f.round*roundStep, f.round, due
		}
		return f.states.Put(ctx, chunks[i])
	})
}

// check compares the responses of the node with its records. The records must have
// the same number of heartbeats, and no wrong proof.
func (f *farm) check() {
	var heartbeats, wrong sql.NullInt64
	f.node.query(f.b, []any{&heartbeats, &wrong}, "SELECT SUM(heartbeats), SUM(wrong) FROM tokens WHERE id BETWEEN ? AND ?",
		f.farmers[0].id, f.farmers[len(f.farmers)-1].id)
	if heartbeats.Int64 != f.accepted || wrong.Int64 != 0 {
		f.b.Fatalf("the records have %d heartbeats and %d wrong proofs, but the node confirmed %d heartbeats to farmers",
			heartbeats.Int64, wrong.Int64, f.accepted)
	}
}

// encoded is an encoded file, with a challenge and its proof.
type encoded struct {
	id                    int64 // in the database
	hash                  node.FileHash
	seed                  string
	size                  int64
	tag, state, challenge []byte
	proof                 json.RawMessage
}

// encode makes n files of size bytes with the node's key, and a proof for each.
func (b *bench) encode(n *running, scheme heartbeat.Type, number int, size int64) []encoded {
	b.progress.Step("encoding %d files with %s", number, scheme)
	key, _ := n.key(b, scheme)
	prover, err := schemes.ParsePublic(scheme, key.Public())
	b.must(err)
	files := make([]encoded, number)
	first := b.encoded
	b.encoded += number
	b.parallel(number, runtime.NumCPU(), func(ctx context.Context, i int) (err error) {
		if files[i], err = encodeOne(ctx, key, fmt.Sprintf("bench %d", first+i), size); err != nil {
			return err
		}
		return files[i].prove(ctx, key, prover)
	})
	runtime.GC()
	time.Sleep(settle)
	return files
}

// settle is the pause between the encoding of files and the first measurement. Encoding uses
// all cores. On machines that share their cores, measurements just after it were up to a tenth
// slower, and the more so the longer the encoding took.
const settle = 10 * time.Second

func encodeOne(ctx context.Context, key heartbeat.Heartbeat, seed string, size int64) (e encoded, err error) {
	file := filestream.New(seed, size)
	content := sha256.New()
	if _, err := io.Copy(content, io.NewSectionReader(file, 0, size)); err != nil {
		return e, err
	}
	var tag bytes.Buffer
	state, err := key.Encode(ctx, file, size, &tag, heartbeat.EncodeOptions{})
	return encoded{hash: node.FileHash(content.Sum(nil)), seed: seed, size: size, tag: tag.Bytes(), state: state}, err
}

// prove issues the file's next challenge and makes its proof.
func (e *encoded) prove(ctx context.Context, key heartbeat.Heartbeat, prover heartbeat.Prover) (err error) {
	if e.challenge, e.state, err = key.Challenge(e.state); err != nil {
		return err
	}
	proof, err := prover.Prove(ctx, filestream.New(e.seed, e.size), e.size, e.tag, e.challenge)
	if err != nil {
		return err
	}
	e.proof, err = prover.ProofJSON(proof)
	return err
}
