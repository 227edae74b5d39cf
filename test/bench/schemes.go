package main

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
)

// fileSize is what the schemes are measured with.
const fileSize = 32 << 20

// old is what the Python node did, 0 where it was not measured.
type old struct{ encode, verify float64 } // MB/s, µs

// schemeFigures measures both schemes by themselves.
func schemeFigures(p *program) []figure {
	return append(
		measureScheme(p, heartbeat.Merkle, old{verify: 25}),
		measureScheme(p, heartbeat.Swizzle, old{encode: 17, verify: 2200})...)
}

func measureScheme(p *program, scheme heartbeat.Type, was old) []figure {
	p.Logf("measuring %s", scheme)
	fraction := 0.01
	h, err := schemes.New(scheme, &fraction)
	if err != nil {
		p.Fatal(err)
	}
	prover, err := schemes.ParsePublic(scheme, h.Public())
	if err != nil {
		p.Fatal(err)
	}
	file := filestream.New("bench", fileSize)
	var tag bytes.Buffer
	state, err := h.Encode(p.ctx, file, fileSize, &tag, heartbeat.EncodeOptions{})
	if err != nil {
		p.Fatal(err)
	}
	challenge, state, err := h.Challenge(state)
	if err != nil {
		p.Fatal(err)
	}
	proof, err := prover.Prove(p.ctx, file, fileSize, tag.Bytes(), challenge)
	if err != nil {
		p.Fatal(err)
	}
	encode := each(p, func() error {
		_, err := h.Encode(p.ctx, file, fileSize, io.Discard, heartbeat.EncodeOptions{})
		return err
	})
	prove := each(p, func() error {
		_, err := prover.Prove(p.ctx, file, fileSize, tag.Bytes(), challenge)
		return err
	})
	verify := each(p, func() error {
		valid, err := h.Verify(state, challenge, proof)
		if err == nil && !valid {
			p.Fatal("a good proof is not valid")
		}
		return err
	})
	name := string(scheme)
	return []figure{
		rate(name+" encode 32 MiB", "MB/s", fileSize/1e6, encode, was.encode),
		latency(name+" prove 1 % of 32 MiB", prove, 0),
		latency(name+" verify", verify, was.verify),
	}
}

// each is how long op takes.
func each(p *program, op func() error) time.Duration {
	result := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			if err := op(); err != nil {
				b.Fatal(err)
			}
		}
	})
	if result.N == 0 {
		p.Fatal("a benchmark failed")
	}
	return result.T / time.Duration(result.N)
}
