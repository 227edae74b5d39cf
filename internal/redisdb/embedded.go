package redisdb

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/driveshare/downstream-node/internal/config"
)

// Embedded starts a Redis inside this process and opens it. It ignores the options
// with the address of a Redis. The server's data is lost when the process ends.
func Embedded(o Options) (*DB, error) {
	server := miniredis.NewMiniRedis()
	password := rand.Text() // because other users of this machine can reach the port
	server.RequireAuth(password)
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("redis: start the embedded server: %w", err)
	}
	o.Config = Config{Addrs: []string{server.Addr()}, Password: config.Secret(password)}
	db, err := Open(o)
	if err != nil {
		server.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		expireKeys(ctx, server)
	}()
	db.stop = func() {
		cancel()
		<-stopped
		server.Close()
	}
	return db, nil
}

// expireKeys advances the server's clock every second, so that keys expire. The
// server could also advance its clock at every command, but then each command would
// check all keys.
func expireKeys(ctx context.Context, server *miniredis.Miniredis) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			now := time.Now()
			server.FastForward(now.Sub(last))
			last = now
		}
	}
}
