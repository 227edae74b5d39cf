//go:build faults

package faults

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

// Two replicas register tokens and hand out chunks concurrently. No chunk may be
// handed out twice, and no limit may be exceeded.
func TestConcurrentHandOuts(t *testing.T) {
	t.Parallel()
	const (
		tokensPerIP  = 5
		addresses    = 4
		perRequest   = 7
		perAddress   = 60 // chunks for each SJCX address
		perKey       = 300
		contenders   = 12 // concurrent requests for a token, for each SJCX address
		handOutCalls = 8  // requests for chunks from each farmer, enough to reach the limit of the SJCX address
	)
	n := start(t, deployment.Settings{
		"contracts.interval":            "300s",
		"contracts.tokensPerIP":         fmt.Sprint(tokensPerIP),
		"contracts.contractsPerRequest": fmt.Sprint(perRequest),
		"contracts.bytesPerAddress":     fmt.Sprint(perAddress * chunkSize),
	}, fmt.Sprint(perKey))
	apis := twoAPIs(t, n)
	var told ledger.Ledger
	var asking sync.WaitGroup
	for i := range addresses {
		address := deployment.NewAddress(t)
		for j := range contenders {
			asking.Go(func() {
				// All tokens of an SJCX address come from one IP address.
				s := newTaker(t, apis[j%2].URL, netip.AddrFrom4([4]byte{127, 0, 9, byte(i + 1)}))
				defer s.client.Close()
				if !s.join(t, address) {
					return
				}
				for range handOutCalls {
					s.take(t, &told, perRequest)
				}
			})
		}
	}
	asking.Wait()

	records := n.Records(t)
	count := told.Audit(records)
	t.Logf("%v, chunks handed out %d", count, len(records.Contracts))
	if !count.Clean() {
		t.Error("the records differ from the responses that farmers received")
	}
	if len(records.Tokens) != addresses*tokensPerIP {
		t.Errorf("%d tokens, want %d for each of %d IP addresses", len(records.Tokens), tokensPerIP, addresses)
	}
	held := map[string]int{}
	for _, c := range records.Contracts {
		held[records.Tokens[c.Farmer].Address]++
	}
	for address, chunks := range held {
		if chunks != perAddress {
			t.Errorf("address %s has %d chunks, want %d, which is its limit", address, chunks, perAddress)
		}
	}
	if len(held) != addresses {
		t.Errorf("%d addresses hold chunks, want %d", len(held), addresses)
	}
}

// taker is a farmer that takes contracts and makes no proofs.
type taker struct {
	client    *farmer.Client
	token, id string
}

func newTaker(t *testing.T, url string, local netip.Addr) *taker {
	client, err := farmer.NewClient(url, farmer.ClientConfig{LocalAddr: local})
	if err != nil {
		t.Error(err)
	}
	return &taker{client: client}
}

// join returns false if the node refused a token because the IP address has too
// many tokens.
func (s *taker) join(t *testing.T, address string) bool {
	told, err := s.client.NewToken(t.Context(), address, nil)
	if refused, ok := errors.AsType[*farmer.Error](err); ok && refused.Status == http.StatusBadRequest {
		return false
	}
	if err != nil {
		t.Error(err)
		return false
	}
	s.token, s.id = told.Token, farmer.FarmerID(told.Token)
	return true
}

func (s *taker) take(t *testing.T, told *ledger.Ledger, limit int) {
	taken := 0
	for chunk, err := range s.client.Chunks(t.Context(), s.token, 100*chunkSize) {
		if err != nil {
			t.Error(err)
			return
		}
		told.Took(chunk.FileHash)
		taken++
	}
	if taken > limit {
		t.Errorf("%d contracts in one request, limit %d", taken, limit)
	}
}
