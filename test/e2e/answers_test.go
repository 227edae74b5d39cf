//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/test/deployment"
)

// preparedFarmer computes all its proofs before it sends the first proof, so that a
// test measures only the node.
type preparedFarmer struct {
	client *farmer.Client
	token  string
	prover heartbeat.Prover
	proofs []farmer.Proof // valid proofs that were not sent yet
	binary [][]byte       // the same proofs in binary form
}

// awaitService waits until the Service routes requests to its pods. This happens a
// moment after the pods become ready, because kube-proxy must first read the change
// from the API server.
func awaitService(t *testing.T, url string) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	eventually(t, 20*time.Second, func() error {
		answer, err := client.Get(url + "/api/downstream/v1/status/summary")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", answer.Status)
		}
		return nil
	})
}

func join(t *testing.T, client *farmer.Client, address string) farmer.Registration {
	t.Helper()
	told, err := client.NewToken(t.Context(), address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return told
}

// gather takes contracts when the node has encoded them, and computes a proof for
// each contract.
func gather(t *testing.T, url string, contracts int) *preparedFarmer {
	t.Helper()
	awaitService(t, url)
	client, err := farmer.NewClient(url, farmer.ClientConfig{Timeout: 2 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	told := join(t, client, deployment.NewAddress(t))
	h := &preparedFarmer{client: client, token: told.Token}
	if h.prover, err = schemes.ParsePublic(told.Type, told.Heartbeat); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(4 * time.Minute); len(h.proofs) < contracts; {
		for chunk, err := range client.Chunks(t.Context(), told.Token, 1<<40) {
			if err != nil {
				t.Fatal(err)
			}
			if err := h.prove(chunk); err != nil {
				t.Fatal(err)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the node handed out %d of %d contracts", len(h.proofs), contracts)
		}
	}
	return h
}

func (h *preparedFarmer) prove(chunk farmer.Chunk) error {
	tag, err := h.prover.ParseTag(chunk.Tag)
	if err != nil {
		return err
	}
	challenge, err := h.prover.ParseChallenge(chunk.Challenge)
	if err != nil {
		return err
	}
	proof, err := h.prover.Prove(context.Background(), filestream.New(chunk.Seed, chunk.Size), chunk.Size, tag, challenge)
	if err != nil {
		return err
	}
	wire, err := h.prover.ProofJSON(proof)
	h.proofs = append(h.proofs, farmer.Proof{FileHash: chunk.FileHash, Proof: wire})
	h.binary = append(h.binary, proof)
	return err
}

// wrong returns an invalid proof for a contract. Each number gives a different
// proof.
func (h *preparedFarmer) wrong(contract int, number uint32) (farmer.Proof, error) {
	proof := bytes.Clone(h.binary[contract])
	tail := proof[len(proof)-4:]
	binary.BigEndian.PutUint32(tail, binary.BigEndian.Uint32(tail)^(number+1))
	wire, err := h.prover.ProofJSON(proof)
	return farmer.Proof{FileHash: h.proofs[contract].FileHash, Proof: wire}, err
}

const (
	batch   = 10 // number of proofs in a request, which becomes one verification job
	senders = 16
)

// send sends the first number proofs. It repeats proofs on which the node reached
// no verdict. It returns how many proofs the node accepted per second.
func (h *preparedFarmer) send(t *testing.T, number int) float64 {
	t.Helper()
	batches := slices.Collect(slices.Chunk(h.proofs[:number], batch))
	h.proofs, h.binary = h.proofs[number:], h.binary[number:]
	start := time.Now()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(senders)
	for _, batch := range batches {
		group.Go(func() error { return h.sendAll(ctx, batch) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return float64(number) / time.Since(start).Seconds()
}

// sendAll sends proofs until the node has reached a verdict on every proof. The
// node must accept each of them.
func (h *preparedFarmer) sendAll(ctx context.Context, proofs []farmer.Proof) error {
	for deadline := time.Now().Add(3 * time.Minute); ; {
		report, err := h.client.Answers(ctx, h.token, proofs)
		if err == nil {
			for _, verdict := range report {
				if !verdict.OK() {
					return fmt.Errorf("the node refused a valid proof: %q", verdict.Error)
				}
			}
			return nil
		}
		if refused, ok := errors.AsType[*farmer.Error](err); ok && !refused.Temporary() || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// fillQueue sends wrong proofs to keep the queue full, until the caller calls stop.
func (h *preparedFarmer) fillQueue(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var number atomic.Uint32
	var senders sync.WaitGroup
	for range 48 {
		senders.Go(func() {
			for ctx.Err() == nil {
				proofs := make([]farmer.Proof, batch)
				for i := range proofs {
					next := number.Add(1)
					proof, err := h.wrong(int(next)%len(h.proofs), next)
					if err != nil {
						t.Error(err)
						return
					}
					proofs[i] = proof
				}
				_, _ = h.client.Answers(ctx, h.token, proofs) // if the queue is full, the node refuses some of the proofs
			}
		})
	}
	return sync.OnceFunc(func() { cancel(); senders.Wait() })
}

// startFarmers starts farmers that store few bytes and send proofs often. config may have one
// element.
func startFarmers(t *testing.T, url, address string, number int, config ...farmer.ClientConfig) (farmer.Group, func()) {
	t.Helper()
	awaitService(t, url)
	client, err := farmer.NewClient(url, append(config, farmer.ClientConfig{})[0])
	if err != nil {
		t.Fatal(err)
	}
	farmers, err := farmer.NewGroup(farmer.Config{
		Client: client, Address: address, Dir: t.TempDir(), Size: 64 << 10, NoSync: true,
		TakeEvery: time.Second, Patience: time.Minute,
	}, number)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- farmers.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		client.Close()
	})
	t.Cleanup(stop)
	return farmers, stop
}

// awaitHeartbeats waits until the node has confirmed count more heartbeats.
func awaitHeartbeats(t *testing.T, farmers farmer.Group, count int64) {
	t.Helper()
	goal := farmers.Snapshot().Heartbeats + count
	eventually(t, 90*time.Second, func() error {
		if s := farmers.Snapshot(); s.Heartbeats < goal {
			return fmt.Errorf("%d of %d heartbeats: %+v", s.Heartbeats, goal, s)
		}
		return nil
	})
}
