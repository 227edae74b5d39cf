package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"golang.org/x/sync/errgroup"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/sjcx"
)

// demoSize is what each farmer of a demo holds, in bytes.
const demoSize = 2 << 20

// demoFarmers farms against the node at url with number farmers, each with an
// address of its own. They keep their tokens and chunks under dir.
func demoFarmers(p *process, url, dir string, number int) service {
	return service{"demo farmers", func(ctx context.Context) error {
		client, err := farmer.NewClient(url, farmer.ClientConfig{})
		if err != nil {
			return err
		}
		defer client.Close()
		farmers, ctx := errgroup.WithContext(ctx)
		for i := range number {
			address, err := newAddress()
			if err != nil {
				return err
			}
			f, err := farmer.New(farmer.Config{
				Client:    client,
				Address:   address, // of its first run; later it has a token
				Dir:       filepath.Join(dir, strconv.Itoa(i+1)),
				Size:      demoSize,
				TakeEvery: 2 * time.Second,
				Logger:    p.log.With("farmer", i+1),
			})
			if err != nil {
				return err
			}
			farmers.Go(func() error { return f.Run(ctx) })
		}
		return farmers.Wait()
	}}
}

// newAddress makes an address whose key nobody keeps.
func newAddress() (string, error) {
	key, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		return "", fmt.Errorf("make an address: %w", err)
	}
	return sjcx.Address(key.PubKey(), true), nil
}
