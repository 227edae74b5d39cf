package farming

import (
	"context"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

// member is a running farmer.
type member struct {
	*farmer.Farmer
	stop func() // stops the farmer and waits until it has ended; may be called again
}

// farm runs a farmer with size bytes against the API replica at url, until the
// farmer is stopped or the test ends. The ledger records every verdict that the
// node sends to the farmer.
func farm(t *testing.T, url string, number int, size int64, told *ledger.Ledger) *member {
	t.Helper()
	client, err := farmer.NewClient(url, farmer.ClientConfig{
		// Four farmers share an IP address. The node allows five.
		LocalAddr: netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + number/4)}),
	})
	if err != nil {
		t.Fatal(err)
	}
	m := &member{}
	var verdicts atomic.Int64
	m.Farmer, err = farmer.New(farmer.Config{
		Client:    client,
		Address:   deployment.NewAddress(t),
		Dir:       filepath.Join(t.TempDir(), strconv.Itoa(number)),
		Size:      size,
		Retry:     500 * time.Millisecond,
		TakeEvery: 2 * time.Second,
		NoSync:    true,
		OnHeartbeat: func(v farmer.Verdict) {
			if !v.OK() {
				t.Errorf("farmer %d, file %s: %s", number, v.FileHash, v.Error)
				return
			}
			// After the node has confirmed a challenge, the farmer sends no second
			// proof for it. So each confirmation belongs to another challenge.
			told.Accepted(m.Snapshot().FarmerID, v.FileHash, strconv.FormatInt(verdicts.Add(1), 10))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := m.Run(ctx); err != nil {
			t.Errorf("farmer %d: %v", number, err)
		}
	}()
	m.stop = func() {
		cancel()
		<-ended
		client.Close()
	}
	t.Cleanup(m.stop)
	return m
}

// stopBetweenRequests stops the farmer at a moment when it does not wait for a
// response. Otherwise the records could contain a heartbeat whose response the
// farmer did not read.
func (m *member) stopBetweenRequests(t *testing.T) {
	t.Helper()
	for range 1000 {
		left := time.Until(m.Snapshot().NextDue)
		if m.Snapshot().Heartbeats > 0 && left > interval/4 && left < interval/2 {
			m.stop()
			return
		}
		time.Sleep(interval / 500)
	}
	t.Fatal("for two intervals the farmer always waited for a response")
}
