package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

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

// encode makes n files of size bytes with the key, and a proof for each.
func (b *bench) encode(key heartbeat.Heartbeat, n int, size int64) []encoded {
	prover, err := schemes.ParsePublic(key.Type(), key.Public())
	if err != nil {
		b.Fatal(err)
	}
	files := make([]encoded, n)
	first := b.encoded
	b.encoded += n
	group, ctx := errgroup.WithContext(b.ctx)
	group.SetLimit(8)
	for i := range files {
		group.Go(func() (err error) {
			files[i], err = encodeOne(ctx, key, prover, fmt.Sprintf("bench %d", first+i), size)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	return files
}

func encodeOne(ctx context.Context, key heartbeat.Heartbeat, prover heartbeat.Prover, seed string, size int64) (e encoded, err error) {
	file := filestream.New(seed, size)
	content := make([]byte, size)
	if _, err := file.ReadAt(content, 0); err != nil {
		return e, err
	}
	e = encoded{hash: sha256.Sum256(content), seed: seed, size: size}
	var tag bytes.Buffer
	if e.state, err = key.Encode(ctx, file, size, &tag, heartbeat.EncodeOptions{}); err != nil {
		return e, err
	}
	e.tag = tag.Bytes()
	if e.challenge, e.state, err = key.Challenge(e.state); err != nil {
		return e, err
	}
	proof, err := prover.Prove(ctx, file, size, e.tag, e.challenge)
	if err != nil {
		return e, err
	}
	e.proof, err = prover.ProofJSON(proof)
	return e, err
}
