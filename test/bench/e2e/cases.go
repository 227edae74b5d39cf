package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/node"
)

// encoded is a file that was encoded, with a challenge and the proof that
// answers it.
type encoded struct {
	hash                  node.FileHash
	seed                  string
	size                  int64
	tag, state, challenge []byte
	proof                 json.RawMessage
}

// encode makes n files of size bytes with the node's key, and a proof for each.
func (b *bench) encode(node *running, scheme heartbeat.Type, n int, size int64) []encoded {
	b.progress.Step("encoding %d files with %s", n, scheme)
	key, _ := node.key(b, scheme)
	prover, err := schemes.ParsePublic(scheme, key.Public())
	if err != nil {
		b.Fatal(err)
	}
	files := make([]encoded, n)
	first := b.encoded
	b.encoded += n
	b.eachOf(n, func(ctx context.Context, i int) (err error) {
		if files[i], err = encodeOne(ctx, key, fmt.Sprintf("bench %d", first+i), size); err != nil {
			return err
		}
		return files[i].prove(ctx, key, prover)
	})
	return files
}

// eachOf does n things, some at once.
func (b *bench) eachOf(n int, do func(ctx context.Context, i int) error) {
	group, ctx := errgroup.WithContext(b.ctx)
	group.SetLimit(runtime.NumCPU())
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

func encodeOne(ctx context.Context, key heartbeat.Heartbeat, seed string, size int64) (e encoded, err error) {
	file := filestream.New(seed, size)
	content := sha256.New()
	if _, err := io.Copy(content, io.NewSectionReader(file, 0, size)); err != nil {
		return e, err
	}
	e = encoded{hash: node.FileHash(content.Sum(nil)), seed: seed, size: size}
	var tag bytes.Buffer
	e.state, err = key.Encode(ctx, file, size, &tag, heartbeat.EncodeOptions{})
	e.tag = tag.Bytes()
	return e, err
}

// prove issues the file's next challenge and answers it.
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
