// Package keyring holds a node's heartbeat keys: it reads their files, registers
// them with the store and finds the key of a token, a chunk or a contract.
//
// A node may have several keys, of both schemes. New tokens get the first active key; see
// store.RegisterKeys. A key replaces the keys after it with the same public part: the
// stocker moves what refers to them to the new key, until they are retired.
//
// Invariant: a node starts only if it has every key that its database needs. Without
// a key, it could not verify the contracts of that key.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/store"
)

// Key is a heartbeat key and its record in the store.
type Key struct {
	heartbeat.Heartbeat
	store.KeyRecord
}

// Type returns the key's scheme.
func (k Key) Type() heartbeat.Type { return k.Heartbeat.Type() }

// Challenge returns the next challenge. If the key is compromised and replaced, a Merkle file
// has no more challenges, because others can compute them from the key. Then the contract is
// completed.
func (k Key) Challenge(state []byte) (challenge, next []byte, err error) {
	if k.Compromised && k.Successor != 0 && !schemes.Resealable(k.Type()) {
		return nil, nil, heartbeat.ErrNoMoreChallenges
	}
	return k.Heartbeat.Challenge(state)
}

// Ring holds the keys of a node. It is safe for concurrent use.
type Ring struct {
	process     *store.Process
	compromised []string // beginnings of fingerprints

	mu         sync.Mutex // serializes the writers of registered
	registered atomic.Pointer[registered]
}

// registered is the keys with their records. It is immutable.
type registered struct {
	keys []Key // the keys of the process, in the order of the files
	byID map[int64]Key
}

// New registers the heartbeat keys with the store. It returns a ring of the keys in
// the same order. process is nil if the caller verifies and encodes nothing. compromised
// lists the fingerprints of compromised keys, or the first digits of them.
func New(ctx context.Context, st *store.Store, process *store.Process, heartbeats []heartbeat.Heartbeat, compromised []string, now time.Time) (*Ring, error) {
	r := &Ring{process: process, compromised: compromised}
	return r, r.Replace(ctx, st, heartbeats, now)
}

// Renew registers the keys again. A database that was restored from a backup may
// lack a key, or know it by another id.
func (r *Ring) Renew(ctx context.Context, st *store.Store, now time.Time) error {
	return r.Replace(ctx, st, r.heartbeats(), now)
}

func (r *Ring) heartbeats() []heartbeat.Heartbeat {
	var heartbeats []heartbeat.Heartbeat
	for _, key := range r.All() {
		heartbeats = append(heartbeats, key.Heartbeat)
	}
	return heartbeats
}

// Refresh reads the states of the keys again. If a key can become active or can be replaced,
// Refresh registers the keys again.
func (r *Ring) Refresh(ctx context.Context, st *store.Store, now time.Time) error {
	known, err := st.Keys(ctx)
	if err != nil {
		return err
	}
	records := map[int64]store.KeyRecord{}
	for _, k := range known {
		records[k.ID] = k
	}
	r.mu.Lock()
	next := &registered{byID: map[int64]Key{}}
	var states []store.KeyRecord
	var keys []store.Key
	for _, key := range r.All() {
		if record, ok := records[key.ID]; ok && record.Fingerprint == key.Fingerprint {
			key.KeyRecord = record
		}
		next.add(key)
		states, keys = append(states, key.KeyRecord), append(keys, r.describe(key.Heartbeat))
	}
	r.registered.Store(next)
	r.mu.Unlock()
	for i, k := range states {
		if k.State() == store.KeyNew || store.Replaces(states, keys, i) {
			return r.Renew(ctx, st, now)
		}
	}
	return nil
}

// describe returns what the store registers of a key.
func (r *Ring) describe(hb heartbeat.Heartbeat) store.Key {
	print := schemes.Fingerprint(hb)
	compromised := slices.ContainsFunc(r.compromised, func(prefix string) bool { return strings.HasPrefix(print, prefix) })
	return store.Key{Fingerprint: print, Type: string(hb.Type()), Public: string(hb.Public()), Compromised: compromised}
}

// Replace registers these keys instead of the ring's keys. Of a key that is given twice, it
// takes the first one.
func (r *Ring) Replace(ctx context.Context, st *store.Store, heartbeats []heartbeat.Heartbeat, now time.Time) error {
	if len(heartbeats) == 0 {
		return errors.New("no heartbeat key: set heartbeat.keyFiles, or make a key with `downstream-node heartbeat new`")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var known []store.Key
	var distinct []heartbeat.Heartbeat
	for _, hb := range heartbeats {
		key := r.describe(hb)
		if !slices.Contains(known, key) {
			known, distinct = append(known, key), append(distinct, hb)
		}
	}
	records, err := st.RegisterKeys(ctx, known, r.process, now)
	if err != nil {
		return err
	}
	next := &registered{byID: map[int64]Key{}}
	for i, record := range records {
		next.add(Key{distinct[i], record})
	}
	r.registered.Store(next)
	return nil
}

func (r *registered) add(key Key) {
	r.keys = append(r.keys, key)
	r.byID[key.ID] = key
}

// Current returns the key for new tokens and files: the first one that is active. If none is,
// because the process has just started, it is the first key.
func (r *Ring) Current() Key {
	for _, key := range r.All() {
		if key.State() == store.KeyActive {
			return key
		}
	}
	return r.All()[0]
}

// All returns all keys in the order of the key files.
func (r *Ring) All() []Key { return r.registered.Load().keys }

// Successor returns the active key that replaces a retiring one. It is not always the recorded
// one, because that may be replaced too, and retired earlier.
func (r *Ring) Successor(old Key) (Key, error) {
	for _, key := range r.All() {
		if key.State() == store.KeyActive && key.Type() == old.Type() && string(key.Public()) == string(old.Public()) {
			return key, nil
		}
	}
	return Key{}, fmt.Errorf("no active key of this process can replace the heartbeat key %s", store.ShortKey(old.Fingerprint))
}

// UnknownCompromised returns the configured beginnings of fingerprints that fit none of the keys.
func (r *Ring) UnknownCompromised() (unknown []string) {
	for _, prefix := range r.compromised {
		if !slices.ContainsFunc(r.All(), func(k Key) bool { return strings.HasPrefix(k.Fingerprint, prefix) }) {
			unknown = append(unknown, prefix)
		}
	}
	return unknown
}

// Has reports whether the ring has the key with this id.
func (r *Ring) Has(id int64) bool {
	_, ok := r.registered.Load().byID[id]
	return ok
}

// Key finds the key with this id. It fails if this process does not have the key: another process
// has registered it, or it is retired and its file was removed. Replace can change the keys
// at run time, so two calls can give different results.
func (r *Ring) Key(id int64) (Key, error) {
	key, ok := r.registered.Load().byID[id]
	if !ok {
		return Key{}, fmt.Errorf("heartbeat key %d is not among this process's heartbeat.keyFiles", id)
	}
	return key, nil
}

// Load reads the configured heartbeat keys, and gives them the detection target if
// there is one. interval is the time for each challenge.
func (c Config) Load(interval time.Duration) ([]heartbeat.Heartbeat, error) {
	heartbeats, err := Load(c.KeyFiles)
	if err != nil || !c.Detection.Set() {
		return heartbeats, err
	}
	for i, hb := range heartbeats {
		if heartbeats[i], err = schemes.WithTarget(hb, c.Detection.target(interval)); err != nil {
			return nil, fmt.Errorf("heartbeat.detection: %w", err)
		}
	}
	return heartbeats, nil
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
		return nil, fmt.Errorf("heartbeat key (heartbeat.keyFiles): %w", err)
	}
	hb, err := schemes.ParseFile(config.TrimBOM(raw))
	if err != nil {
		return nil, fmt.Errorf("heartbeat key %s: %w", path, err)
	}
	return hb, nil
}

// Rotate writes a key to the file at path that has new secrets and the public part of the key
// in the file from. It returns the fingerprint of the new key. It never replaces a file.
func Rotate(from, path string) (fingerprint string, err error) {
	old, err := load(from)
	if err != nil {
		return "", err
	}
	hb, err := schemes.Renew(old)
	if err != nil {
		return "", err
	}
	switch err := create(path, schemes.MarshalFile(hb)); {
	case errors.Is(err, os.ErrExist):
		return "", fmt.Errorf("%s exists already; choose another name", path)
	case err != nil:
		return "", fmt.Errorf("save heartbeat key %s: %w", path, err)
	}
	return schemes.Fingerprint(hb), nil
}

// FileOf returns the file that contains the key with this fingerprint, or "".
func FileOf(paths []string, fingerprint string) (string, error) {
	for _, path := range paths {
		hb, err := load(path)
		if err != nil {
			return "", err
		}
		if schemes.Fingerprint(hb) == fingerprint {
			return path, nil
		}
	}
	return "", nil
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
