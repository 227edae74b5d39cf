// Package keyring holds a node's heartbeat keys: it reads their files, registers
// them with the store and finds the key of a token, a chunk or a contract.
//
// A node may have several keys, of both schemes. New tokens get the first key. Each
// other key is needed until no contract that was encoded with it is left.
//
// Invariant: a node starts only if it has every key that its database knows. Without
// a key, it could not verify the contracts of that key.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/store"
)

// Key is a heartbeat key and its id in the store.
type Key struct {
	heartbeat.Heartbeat
	ID int64
}

// Ring holds the keys of a node. It is safe for concurrent use.
type Ring struct{ registered atomic.Pointer[registered] }

// registered is the keys with their ids. It is immutable.
type registered struct {
	keys []Key
	byID map[int64]Key
}

// New registers the heartbeat keys with the store. It returns a ring of the keys in
// the same order.
func New(ctx context.Context, st *store.Store, heartbeats []heartbeat.Heartbeat, now time.Time) (*Ring, error) {
	if len(heartbeats) == 0 {
		return nil, errors.New("no heartbeat key: set heartbeat.keyFiles, or make a key with `downstream-node heartbeat new`")
	}
	r := &Ring{}
	return r, r.register(ctx, st, heartbeats, now)
}

// Renew registers the keys again. A database that was restored from a backup may
// lack a key, or know it by another id.
func (r *Ring) Renew(ctx context.Context, st *store.Store, now time.Time) error {
	var heartbeats []heartbeat.Heartbeat
	for _, key := range r.All() {
		heartbeats = append(heartbeats, key.Heartbeat)
	}
	return r.register(ctx, st, heartbeats, now)
}

func (r *Ring) register(ctx context.Context, st *store.Store, heartbeats []heartbeat.Heartbeat, now time.Time) error {
	known := make([]store.Key, len(heartbeats))
	for i, hb := range heartbeats {
		known[i] = store.Key{Fingerprint: schemes.Fingerprint(hb), Type: string(hb.Type())}
	}
	ids, err := st.RegisterKeys(ctx, known, now)
	if err != nil {
		return fmt.Errorf("register heartbeat keys: %w", err)
	}
	next := &registered{byID: make(map[int64]Key, len(ids))}
	for i, id := range ids {
		key := Key{Heartbeat: heartbeats[i], ID: id}
		next.keys = append(next.keys, key)
		next.byID[id] = key
	}
	r.registered.Store(next)
	return nil
}

// Current returns the key for new tokens.
func (r *Ring) Current() Key { return r.All()[0] }

// All returns all keys, the current key first.
func (r *Ring) All() []Key { return r.registered.Load().keys }

// Key finds the key with this id. It fails only if another process registered the
// key after this one started.
func (r *Ring) Key(id int64) (Key, error) {
	key, ok := r.registered.Load().byID[id]
	if !ok {
		return Key{}, fmt.Errorf("heartbeat key %d is not among this process's heartbeat.keyFiles", id)
	}
	return key, nil
}

// Load reads the heartbeat key in each file.
func Load(paths []string) ([]heartbeat.Heartbeat, error) {
	heartbeats := make([]heartbeat.Heartbeat, 0, len(paths))
	for _, path := range paths {
		hb, err := load(path)
		if err != nil {
			return nil, err
		}
		heartbeats = append(heartbeats, hb)
	}
	return heartbeats, nil
}

func load(path string) (heartbeat.Heartbeat, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("heartbeat key: %w", err)
	}
	hb, err := schemes.ParseFile(config.TrimBOM(raw))
	if err != nil {
		return nil, fmt.Errorf("heartbeat key %s: %w", path, err)
	}
	return hb, nil
}

// LoadOrCreate reads the heartbeat key in the file at path. If the file does not
// exist, it creates the file with a new key. It never replaces a file. If two
// processes start at the same time, one creates the key and both read it.
func LoadOrCreate(path string, t heartbeat.Type, checkFraction float64) (heartbeat.Heartbeat, error) {
	hb, err := load(path)
	if !errors.Is(err, os.ErrNotExist) {
		return hb, err
	}
	if hb, err = schemes.New(t, &checkFraction); err != nil {
		return nil, err
	}
	if err := create(path, schemes.MarshalFile(hb)); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("save heartbeat key %s: %w", path, err)
	}
	return load(path)
}

// create writes a new file, completely or not at all. It fails if the file exists.
func create(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".heartbeat-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Link(tmp.Name(), path) // unlike os.Rename, it never replaces a file
}
