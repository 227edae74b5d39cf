package store

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// keyNamed returns the record of a key.
func (f *fixture) keyNamed(t *testing.T, fingerprint string) KeyRecord {
	t.Helper()
	keys, err := f.Keys(t.Context())
	must(t, err)
	key, err := FindKey(keys, fingerprint)
	must(t, err)
	return key
}

// Keys are listed by the time of their registration, whichever order the ids have.
func TestKeysAreInTheOrderOfRegistration(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		const insert = "INSERT INTO heartbeat_keys (id, fingerprint, type, created, shared) VALUES (?, ?, 'Merkle', ?, 0)"
		first := micros(start.Add(time.Hour)) // after the key of the fixture
		must(t, f.write.Exec(insert, 900, "first", first).Error)
		must(t, f.write.Exec(insert, 800, "second", first+1).Error)
		keys, err := f.Keys(t.Context())
		must(t, err)
		if n := len(keys); n < 2 || keys[n-2].Fingerprint != "first" || keys[n-1].Fingerprint != "second" {
			t.Errorf("%+v", keys)
		}
	})
}

// A new key may be used only when every process that is alive has it, and then it replaces
// the key with the same public part for ever.
func TestKeyIsReplacedWhenAllProcessesHaveIt(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		old, next := Key{Fingerprint: "one", Type: "Merkle", Public: "public"}, Key{Fingerprint: "next", Type: "Merkle", Public: "public"}
		other := Key{Fingerprint: "other", Type: "Merkle", Public: "another public part"}
		api, worker := f.NewProcess("api", KindAPI), f.NewProcess("worker", KindWorker)
		register := func(process *Process, keys ...Key) []KeyState {
			t.Helper()
			records, err := f.RegisterKeys(t.Context(), keys, process, start)
			must(t, err)
			var states []KeyState
			for _, k := range records {
				states = append(states, k.State())
			}
			return states
		}
		check := func(got []KeyState, want ...KeyState) {
			t.Helper()
			if len(got) != len(want) {
				t.Fatalf("states %v, want %v", got, want)
			}
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("states %v, want %v", got, want)
				}
			}
		}
		check(register(api, old, other), KeyActive, KeyActive)
		_, err := f.NewProcess("older version", KindAPI).Beat(t.Context()) // it writes no keys
		must(t, err)
		_, err = f.NewProcess("command", "command").Beat(t.Context()) // it needs no keys
		must(t, err)
		check(register(worker, next, old, other), KeyNew, KeyActive, KeyActive)
		// A process may start again with the old configuration. It keeps the new key from becoming active.
		check(register(f.NewProcess("old configuration", KindAPI), old, other), KeyActive, KeyActive)
		ended := func(name string) {
			t.Helper()
			must(t, f.write.Exec("UPDATE processes SET seen = seen - ? WHERE name = ?", 2*processAlive.Microseconds(), name).Error)
		}
		ended("older version")
		check(register(api, next, old, other), KeyNew, KeyActive, KeyActive)
		ended("old configuration")
		check(register(worker, next, old, other), KeyActive, KeyRetiring, KeyActive)
		check(register(api, old, next, other), KeyRetiring, KeyActive, KeyActive) // another order changes nothing
		_, err = f.RegisterKeys(t.Context(), []Key{old, other}, f.NewProcess("old configuration", KindAPI), start)
		wantErr(t, err, ErrKeyMissing)
		if got, want := f.keyNamed(t, "one").Successor, f.keyNamed(t, "next").ID; got != want {
			t.Errorf("the successor is key %d, want %d", got, want)
		}
	})
}

// Everything that refers to a key must move to its successor, except what the successor cannot do.
func TestReplaceKey(t *testing.T) {
	for _, resealable := range []bool{true, false} {
		name := "Merkle"
		if resealable {
			name = "Swizzle"
		}
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, f *fixture) { testReplaceKey(t, f, resealable) })
		})
	}
}

func testReplaceKey(t *testing.T, f *fixture, resealable bool) {
	token := f.token(t, "address")
	sizes := make([]int64, replaceRows+20) // more than one step
	for i := range sizes {
		sizes[i] = 100
	}
	contracts := f.contracts(t, token, start, sizes...)
	f.stock(t, 100, 100)
	process := f.NewProcess("process", KindStandalone)
	keys := []Key{{Fingerprint: "next", Type: "Merkle"}, {Fingerprint: "one", Type: "Merkle"}}
	records, err := f.RegisterKeys(t.Context(), keys, process, start)
	must(t, err)
	r := Replacement{Old: records[1].ID, New: records[0].ID}
	if resealable {
		r.Reseal = func(state []byte) ([]byte, error) { return append(bytes.Clone(state), "resealed"...), nil }
	}
	replace := func(now time.Time, want int) {
		t.Helper()
		need, err := f.ReplaceKey(t.Context(), r, now)
		must(t, err)
		if need != int64(want) || f.keyNamed(t, "one").Need != need {
			t.Fatalf("%d contracts need the old key, want %d; recorded %+v", need, want, f.keyNamed(t, "one"))
		}
	}
	left := len(contracts)
	if resealable {
		left = 0
	}
	// A worker has read a contract before the change. Its verdict must count all the same.
	stale := onCopy(f.readCopy(t, token, contracts[0]), true, start.Add(time.Second))
	replace(start, left)
	if n := f.count(t, "chunks", "key_id = ?", r.Old); n != 2 {
		t.Errorf("%d chunks of the old key, want 2, because farmers still get them", n)
	}
	if outcomes := f.commit(t, stale); outcomes[0] != node.OK {
		t.Errorf("the verdict of the earlier copy: %v", outcomes[0])
	}
	c, err := f.Contract(t.Context(), token.ID, contracts[0].FileHash)
	must(t, err)
	if resealed := strings.HasSuffix(string(c.State), "resealed") && c.KeyID == r.New; resealed != resealable {
		t.Errorf("key %d, state %q", c.KeyID, c.State)
	}
	r.MoveTokens = true
	replace(start, left)
	moved, err := f.Token(t.Context(), token.Hash)
	must(t, err)
	if n := f.count(t, "chunks", "1 = 1"); n != 0 || moved.KeyID != r.New {
		t.Errorf("%d chunks, the token has key %d", n, moved.KeyID)
	}
	end := start.Add(3 * time.Hour)
	if resealable {
		end = start
	} else {
		if state := f.keyNamed(t, "one").State(); state != KeyRetiring {
			t.Errorf("the old key is %s", state)
		}
		_, err = f.RegisterKeys(t.Context(), keys[:1], process, start)
		wantErr(t, err, ErrKeyMissing)
		if want := "520 contracts"; !strings.Contains(err.Error(), "one") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say that %s need the key one", err, want)
		}
		_, err = f.Expire(t.Context(), end, len(contracts))
		must(t, err)
		replace(end, 0)
	}
	if state := f.keyNamed(t, "one").State(); state != KeyRetired {
		t.Errorf("the old key is %s", state)
	}
	_, err = f.RegisterKeys(t.Context(), keys[:1], process, end)
	must(t, err)
	f.checkInvariant(t)
}
