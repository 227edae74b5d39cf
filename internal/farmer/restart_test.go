package farmer

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
)

func TestFarmerResumes(t *testing.T) {
	t.Parallel()
	hb := heartbeatOf(heartbeat.Swizzle)
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(t, hb, 5)
		dir := t.TempDir()
		client := node.serve(t, ClientConfig{})
		_, stop := farm(t, Config{Client: client, Dir: dir, Size: 5000})
		time.Sleep(90 * time.Second)
		must(t, stop())
		token := node.token

		// One file is deleted while the farmer is stopped. The node is unavailable
		// when the farmer starts again.
		held, err := filepath.Glob(filepath.Join(dir, contractsName, "*", fileName))
		must(t, err)
		check(t, "files", len(held), 5)
		must(t, os.Remove(held[0]))
		node.set(func() {
			node.intercept = func(w http.ResponseWriter, _ *http.Request) bool {
				refuse(w, 503, "Starting.")
				return true
			}
		})
		f, stop := farm(t, Config{Client: client, Dir: dir, Size: 5000})
		defer stop()
		time.Sleep(20 * time.Second)
		node.set(func() { node.intercept = nil })
		time.Sleep(10 * time.Minute)
		got := f.Snapshot()
		check(t, "token", node.token, token)
		check(t, "contracts", got.Contracts, 5)
		check(t, "dropped", got.Dropped, int64(0))
		check(t, "rejected", got.Rejected, int64(0))
		check(t, "taken", got.Taken, int64(0))
		check(t, "accepted by the node", node.accepted, 5*12)
	})
}

// A farmer whose contracts have ended while it was stopped asks for their room at once.
func TestFarmerReplacesContractsThatHaveEnded(t *testing.T) {
	t.Parallel()
	hb := heartbeatOf(heartbeat.Merkle)
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(t, hb, 5)
		cfg := Config{Client: node.serve(t, ClientConfig{}), Dir: t.TempDir(), Size: 5500}
		_, stop := farm(t, cfg)
		time.Sleep(time.Minute)
		must(t, stop())
		time.Sleep(time.Hour)
		node.set(func() { node.seeds = []string{"a", "b", "c", "d", "e"} })
		f, stop := farm(t, cfg)
		time.Sleep(5 * time.Second)
		got := f.Snapshot()
		must(t, stop())
		check(t, "lost", got.Lost, int64(5))
		check(t, "contracts", got.Contracts, 5)
	})
}

// If a file is deleted, the farmer writes it again in time for the next proof.
func TestFarmerWritesMissingFilesAgain(t *testing.T) {
	t.Parallel()
	hb := heartbeatOf(heartbeat.Swizzle)
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(t, hb, 3)
		dir := t.TempDir()
		f, stop := farm(t, Config{Client: node.serve(t, ClientConfig{}), Dir: dir, Size: 3000})
		defer stop()
		time.Sleep(90 * time.Second)
		held, err := filepath.Glob(filepath.Join(dir, contractsName, "*", fileName))
		must(t, err)
		check(t, "files", len(held), 3)
		must(t, os.Remove(held[0]))
		time.Sleep(10 * time.Minute)
		got := f.Snapshot()
		check(t, "contracts", got.Contracts, 3)
		check(t, "lost", got.Lost, int64(0))
		check(t, "retries", got.Retries, int64(0))
	})
}

// After a farmer is stopped, it must still receive the contracts that the node has
// already handed out.
func TestFarmerFinishesTakingContractsWhenStopped(t *testing.T) {
	t.Parallel()
	hb := heartbeatOf(heartbeat.Merkle)
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(t, hb, 4)
		node.intercept = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == apiPath+"/chunk/"+node.token+"/4000" {
				time.Sleep(2 * time.Second)
			}
			return false
		}
		dir := t.TempDir()
		_, stop := farm(t, Config{Client: node.serve(t, ClientConfig{}), Dir: dir, Size: 4000})
		time.Sleep(time.Second)
		must(t, stop())
		check(t, "contracts handed out", len(node.contracts), 4)
		check(t, "contracts on disk", onDisk(t, dir), 4)
	})
}

func TestFarmerEndsIfTheNodeForgetsItsToken(t *testing.T) {
	t.Parallel()
	hb := heartbeatOf(heartbeat.Merkle)
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(t, hb, 1)
		dir := t.TempDir()
		client := node.serve(t, ClientConfig{})
		f, err := New(Config{Client: client, Address: address, Dir: dir, Size: 1000})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- f.Run(t.Context()) }()
		time.Sleep(time.Second)
		node.set(func() { node.token = "another" })
		for range 2 { // while the farmer runs, and after a restart
			if err := <-ended; !errors.Is(err, ErrTokenUnknown) {
				t.Errorf("Run: %v, want %v", err, ErrTokenUnknown)
			}
			go func() { ended <- f.Run(t.Context()) }()
		}
		<-ended
		check(t, "contracts on disk", onDisk(t, dir), 1)
	})
}

func TestFarmerWithoutATokenEndsAfterItsPatience(t *testing.T) {
	t.Parallel()
	hb := heartbeatOf(heartbeat.Merkle)
	tests := []struct {
		name     string
		status   int
		attempts [2]int // from, to
	}{
		{"refused", http.StatusBadRequest, [2]int{1, 1}},
		{"unavailable", http.StatusServiceUnavailable, [2]int{4, 6}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				node := newFakeNode(t, hb, 0)
				node.intercept = func(w http.ResponseWriter, _ *http.Request) bool {
					refuse(w, tt.status, "Not for you.")
					return true
				}
				f, err := New(Config{Client: node.serve(t, ClientConfig{}), Address: address, Dir: t.TempDir()})
				if err != nil {
					t.Fatal(err)
				}
				err = f.Run(t.Context())
				response, ok := errors.AsType[*Error](err)
				if !ok || response.Status != tt.status || response.Message != "Not for you." {
					t.Errorf("Run: %v", err)
				}
				if attempts := len(node.times("new")); attempts < tt.attempts[0] || attempts > tt.attempts[1] {
					t.Errorf("%d attempts, want %d to %d", attempts, tt.attempts[0], tt.attempts[1])
				}
			})
		})
	}
}

func TestFarmerKeepsItsAddress(t *testing.T) {
	t.Parallel()
	hb := heartbeatOf(heartbeat.Merkle)
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(t, hb, 0)
		cfg := Config{Client: node.serve(t, ClientConfig{}), Dir: t.TempDir()}
		_, stop := farm(t, cfg)
		time.Sleep(time.Second)
		must(t, stop())
		cfg.Address = "another"
		f, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Address()
		must(t, err)
		check(t, "address", got, address)
	})
}
