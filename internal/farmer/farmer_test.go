package farmer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// heartbeatOf makes one heartbeat for each scheme and shares it among the tests,
// because it is slow to find a prime for Swizzle.
var heartbeatOf = func() func(heartbeat.Type) heartbeat.Heartbeat {
	var made sync.Map
	return func(t heartbeat.Type) heartbeat.Heartbeat {
		if hb, ok := made.Load(t); ok {
			return hb.(heartbeat.Heartbeat)
		}
		hb, err := schemes.New(t, nil)
		if err != nil {
			panic(err)
		}
		made.Store(t, hb)
		return hb
	}
}()

const address = "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV"

// farm starts a farmer. stop stops the farmer and waits until it has ended.
func farm(t *testing.T, cfg Config) (f *Farmer, stop func() error) {
	t.Helper()
	cfg.Address, cfg.NoSync = address, true
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	return f, sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
}

func onDisk(t *testing.T, dir string) (contracts int) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, contractsName, "*", recordName))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

func check(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestFarmerKeepsItsContractsAlive(t *testing.T) {
	t.Parallel()
	for _, scheme := range []heartbeat.Type{heartbeat.Merkle, heartbeat.Swizzle} {
		t.Run(string(scheme), func(t *testing.T) {
			t.Parallel()
			hb := heartbeatOf(scheme)
			synctest.Test(t, func(t *testing.T) {
				node := newFakeNode(t, hb, 3)
				dir := t.TempDir()
				f, stop := farm(t, Config{Client: node.serve(t, ClientConfig{}), Dir: dir, Size: 3500})
				defer stop()
				time.Sleep(10*time.Minute + 30*time.Second)
				got := f.Snapshot()
				check(t, "contracts", got.Contracts, 3)
				check(t, "bytes", got.Bytes, int64(3000))
				check(t, "heartbeats", got.Heartbeats, int64(33)) // one at the hand-out, and then one per minute
				check(t, "rejected", got.Rejected, int64(0))
				check(t, "retries", got.Retries, int64(0))
				check(t, "error", got.LastError, "")
				check(t, "farmer id", got.FarmerID, FarmerID(node.token))
				check(t, "contracts on disk", onDisk(t, dir), 3)
				check(t, "end", stop(), nil)
			})
		})
	}
}

func TestFarmerAsksAgainIfItAskedTooEarly(t *testing.T) {
	t.Parallel()
	hb := heartbeatOf(heartbeat.Merkle)
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(t, hb, 1)
		node.interval = time.Minute + 900*time.Millisecond // the node rounds due down by 0.9 s
		start := time.Now()
		f, stop := farm(t, Config{Client: node.serve(t, ClientConfig{}), Dir: t.TempDir(), Size: 1000})
		defer stop()
		time.Sleep(90 * time.Second)
		var asked []time.Duration
		for _, at := range node.times("challenge") {
			asked = append(asked, at.Sub(start))
		}
		want := []time.Duration{60 * time.Second, 60250 * time.Millisecond, 60500 * time.Millisecond, 60750 * time.Millisecond, 61 * time.Second}
		check(t, "asked at", fmt.Sprint(asked), fmt.Sprint(want))
		check(t, "early", f.Snapshot().Early, int64(4))
		check(t, "heartbeats", f.Snapshot().Heartbeats, int64(2))
	})
}

func TestFarmerRepeatsFailedRequests(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		fail func(http.ResponseWriter)
		wait time.Duration // what the node asks for, or 0
	}{
		{"503", func(w http.ResponseWriter) { refuse(w, 503, "Busy.") }, 0},
		{"503 with Retry-After", func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "7")
			refuse(w, 503, "Busy.")
		}, 7 * time.Second},
		{"broken connection", hangUp, 0},
		{"incomplete response", func(w http.ResponseWriter) { w.Write([]byte(`{"report": [`)) }, 0},
		{"empty report", func(w http.ResponseWriter) { w.Write([]byte(`{"report": []}`)) }, 0},
		{"page of a proxy", func(w http.ResponseWriter) { http.Error(w, "<html>", 404) }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			hb := heartbeatOf(heartbeat.Merkle)
			synctest.Test(t, func(t *testing.T) {
				node := newFakeNode(t, hb, 2)
				failures := 3
				node.intercept = func(w http.ResponseWriter, r *http.Request) bool {
					if r.URL.Path != apiPath+"/answer/"+node.token || failures == 0 {
						return false
					}
					failures--
					tt.fail(w)
					return true
				}
				f, stop := farm(t, Config{Client: node.serve(t, ClientConfig{}), Dir: t.TempDir(), Size: 2000})
				defer stop()
				time.Sleep(50 * time.Second)
				requests := node.times("answer")
				check(t, "requests", len(requests), 4)
				for i := 1; i < len(requests); i++ {
					longest := 3 * time.Second << (i - 1) // the wait doubles
					shortest := longest / 2
					if tt.wait > 0 {
						shortest, longest = tt.wait, tt.wait*5/4
					}
					if wait := requests[i].Sub(requests[i-1]); wait < shortest || wait > longest {
						t.Errorf("wait %d: %v, want %v to %v", i, wait, shortest, longest)
					}
				}
				got := f.Snapshot()
				check(t, "heartbeats", got.Heartbeats, int64(2))
				check(t, "retries", got.Retries, int64(3))
				check(t, "rejected", got.Rejected, int64(0))
			})
		})
	}
}

// The node is away for longer than an interval, and the farmer is restarted meanwhile.
// The farmer must keep its contracts and files, ask seldom, say what it waits for, and
// continue if the node says that the contracts are not over.
func TestFarmerSurvivesAnyOutage(t *testing.T) {
	t.Parallel()
	hb := heartbeatOf(heartbeat.Merkle)
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(t, hb, 2)
		dir := t.TempDir()
		client := node.serve(t, ClientConfig{})
		_, stop := farm(t, Config{Client: client, Dir: dir, Size: 2000})
		time.Sleep(30 * time.Second)
		node.set(func() {
			node.intercept = func(w http.ResponseWriter, _ *http.Request) bool {
				hangUp(w)
				return true
			}
		})
		time.Sleep(time.Hour)
		must(t, stop())
		check(t, "contracts on disk", onDisk(t, dir), 2)
		f, stop := farm(t, Config{Client: client, Dir: dir, Size: 2000})
		defer stop()
		before := len(node.times("heartbeat"))
		const outage = time.Hour
		time.Sleep(outage)
		if asked := len(node.times("heartbeat")) - before; asked > int(outage/(6*time.Second))+2 {
			t.Errorf("the farmer asked %d times in %v", asked, outage)
		}
		if s := f.Snapshot(); s.RetryAt.Before(time.Now()) || s.LastError == "" {
			t.Errorf("waits until %v for %q", s.RetryAt, s.LastError)
		}
		node.set(func() {
			node.intercept = nil
			for _, c := range node.contracts {
				c.due = time.Now().Add(time.Minute)
			}
		})
		time.Sleep(2 * time.Minute)
		got := f.Snapshot()
		check(t, "contracts", got.Contracts, 2)
		check(t, "dropped", got.Dropped, int64(0))
		check(t, "rejected", got.Rejected, int64(0))
		check(t, "waits until", got.RetryAt, time.Time{})
	})
}

// Farmers that fail at the same time must not come back at the same time.
func TestWaitAfterAFailureIsRandom(t *testing.T) {
	t.Parallel()
	waits := map[time.Duration]bool{}
	for range 20 {
		f := &Farmer{cfg: Config{Retry: 3 * time.Second}}
		waits[f.failed(errors.New("broken connection"))] = true
	}
	if len(waits) < 10 {
		t.Errorf("%d different waits of 20", len(waits))
	}
}

// A node that is away shortly before a proof is due may come back in time, so the
// farmer must not wait for long.
func TestFarmerTriesOftenBeforeDue(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, tt := range []struct {
		name     string
		due      time.Duration
		accepted bool
		longest  time.Duration
	}{
		{"due soon", 10 * time.Second, false, 3 * time.Second},
		{"due later", time.Minute, false, 12 * time.Second},
		{"proved", 10 * time.Second, true, 12 * time.Second},
	} {
		l := &loop{Farmer: &Farmer{cfg: Config{Retry: 3 * time.Second}, log: slog.New(slog.DiscardHandler), failures: 5}}
		c := &contract{due: now.Add(tt.due), accepted: tt.accepted}
		l.retryLater(errors.New("broken connection"), c)
		if wait := time.Until(c.notBefore); wait > tt.longest || wait < tt.longest/2-time.Second {
			t.Errorf("%s: %v, want about %v at most", tt.name, wait, tt.longest)
		}
	}
}

// The node is unreachable until after the due. The farmer must keep the contract
// until the node reports whether the contract has expired.
func TestFarmerLeavesExpiryToTheNode(t *testing.T) {
	t.Parallel()
	hb := heartbeatOf(heartbeat.Merkle)
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(t, hb, 1)
		unreachable := func(w http.ResponseWriter, r *http.Request) bool {
			hangUp(w)
			return true
		}
		dir := t.TempDir()
		f, stop := farm(t, Config{Client: node.serve(t, ClientConfig{}), Dir: dir, Size: 1000})
		defer stop()
		time.Sleep(time.Second)
		node.set(func() { node.intercept = unreachable })
		time.Sleep(10 * time.Minute)
		check(t, "contracts while the node is unreachable", onDisk(t, dir), 1)
		node.set(func() { node.intercept = nil })
		time.Sleep(20 * time.Second) // the farmer waits up to 12 s after a failure
		check(t, "contracts after", onDisk(t, dir), 0)
		check(t, "dropped", f.Snapshot().Dropped, int64(1))
	})
}

func TestFarmerDropsARejectedContractAndTakesAnother(t *testing.T) {
	t.Parallel()
	hb := heartbeatOf(heartbeat.Merkle)
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(t, hb, 2)
		dir := t.TempDir()
		var verdicts []Verdict
		f, stop := farm(t, Config{
			Client: node.serve(t, ClientConfig{}), Dir: dir, Size: 1000, TakeEvery: 10 * time.Second,
			OnHeartbeat: func(v Verdict) { verdicts = append(verdicts, v) },
		})
		defer stop()
		time.Sleep(30 * time.Second)
		held, err := filepath.Glob(filepath.Join(dir, contractsName, "*", fileName))
		if err != nil || len(held) != 1 {
			t.Fatalf("files: %v, %v", held, err)
		}
		if err := os.WriteFile(held[0], make([]byte, 1000), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(45 * time.Second)
		got := f.Snapshot()
		check(t, "rejected", got.Rejected, int64(1))
		check(t, "taken", got.Taken, int64(2))
		check(t, "contracts", got.Contracts, 1)
		if _, err := os.Stat(held[0]); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the rejected file still exists: %v", err)
		}
		time.Sleep(10 * time.Second)
		must(t, stop())
		if len(verdicts) != 3 || verdicts[1].OK() || !verdicts[2].OK() {
			t.Errorf("verdicts: %v", verdicts)
		}
	})
}

// Only the node can make a tag, so it is useless to try again until the contract expires.
func TestFarmerDropsAContractWithoutItsTag(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(tag string) error{
		"missing": os.Remove,
		"cut":     func(tag string) error { return os.Truncate(tag, 3) },
	} {
		hb := heartbeatOf(heartbeat.Merkle)
		synctest.Test(t, func(t *testing.T) {
			node := newFakeNode(t, hb, 2)
			dir := t.TempDir()
			f, stop := farm(t, Config{Client: node.serve(t, ClientConfig{}), Dir: dir, Size: 1000, TakeEvery: 10 * time.Second})
			defer stop()
			time.Sleep(30 * time.Second)
			held, err := filepath.Glob(filepath.Join(dir, contractsName, "*", tagName))
			if err != nil || len(held) != 1 {
				t.Fatalf("tags: %v, %v", held, err)
			}
			must(t, damage(held[0]))
			time.Sleep(45 * time.Second)
			got := f.Snapshot()
			check(t, name+": lost", got.Lost, int64(1))
			check(t, name+": why", got.LostWhy, errTag.Error())
			check(t, name+": taken", got.Taken, int64(2))
			check(t, name+": contracts", got.Contracts, 1)
			must(t, stop())
		})
	}
}

func TestFarmerRefusesContentWithAnotherHash(t *testing.T) {
	t.Parallel()
	hb := heartbeatOf(heartbeat.Merkle)
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(t, hb, 1)
		node.intercept = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != apiPath+"/chunk/"+node.token+"/1000" || len(node.seeds) == 0 {
				return false
			}
			chunk := node.handOut(1000)[0]
			chunk["seed"] = "another seed"
			reply(w, map[string]any{"chunks": []any{chunk}})
			return true
		}
		dir := t.TempDir()
		f, stop := farm(t, Config{Client: node.serve(t, ClientConfig{}), Dir: dir, Size: 1000})
		defer stop()
		time.Sleep(time.Second)
		got := f.Snapshot()
		check(t, "refused", got.Refused, int64(1))
		check(t, "contracts", got.Contracts, 0)
		check(t, "contracts on disk", onDisk(t, dir), 0)
		check(t, "answers", len(node.times("answer")), 0)
		check(t, "requests for contracts", len(node.times("chunk")), 1)
	})
}

// A completed contract makes room. The farmer gives the node time to encode the file again,
// and then asks for contracts.
func TestFarmerReplacesACompletedContract(t *testing.T) {
	t.Parallel()
	hb := heartbeatOf(heartbeat.Merkle)
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(t, hb, 2)
		node.challenges = 2
		dir := t.TempDir()
		f, stop := farm(t, Config{Client: node.serve(t, ClientConfig{}), Dir: dir, Size: 1000})
		defer stop()
		time.Sleep(2*time.Minute + 3*time.Second)
		check(t, "contracts after the last challenge", f.Snapshot().Contracts, 0)
		check(t, "heartbeats", f.Snapshot().Heartbeats, int64(2))
		time.Sleep(renewPause)
		check(t, "contracts after the pause", f.Snapshot().Contracts, 1)
		check(t, "contracts on disk", onDisk(t, dir), 1)
		check(t, "taken", f.Snapshot().Taken, int64(2))
		check(t, "rejected", f.Snapshot().Rejected, int64(0))
		check(t, "error", f.Snapshot().LastError, "")
	})
}

func TestFarmerHoldsManyContracts(t *testing.T) {
	t.Parallel()
	hb := heartbeatOf(heartbeat.Merkle)
	synctest.Test(t, func(t *testing.T) {
		const many = 300
		node := newFakeNode(t, hb, many)
		node.challenges = 8
		dir := t.TempDir()
		f, stop := farm(t, Config{Client: node.serve(t, ClientConfig{}), Dir: dir, Size: many * 1000})
		defer stop()
		time.Sleep(5*time.Minute + 30*time.Second)
		got := f.Snapshot()
		check(t, "contracts", got.Contracts, many)
		check(t, "heartbeats", got.Heartbeats, int64(6*many))
		check(t, "rejected", got.Rejected, int64(0))
		if n := len(node.times("answer")); n > 6*many/4 {
			t.Errorf("%d requests for %d proofs; want batches", n, 6*many)
		}
	})
}

func TestFarmerSendsSmallerBatchesIfTheNodeRefusesLargeOnes(t *testing.T) {
	t.Parallel()
	hb := heartbeatOf(heartbeat.Merkle)
	synctest.Test(t, func(t *testing.T) {
		const many = 40
		node := newFakeNode(t, hb, many)
		node.challenges = 8
		node.maxBatch = 12
		f, stop := farm(t, Config{Client: node.serve(t, ClientConfig{}), Dir: t.TempDir(), Size: many * 1000})
		defer stop()
		time.Sleep(2*time.Minute + 30*time.Second)
		got := f.Snapshot()
		check(t, "heartbeats", got.Heartbeats, int64(3*many))
		check(t, "rejected", got.Rejected, int64(0))
		check(t, "contracts", got.Contracts, many)
	})
}
