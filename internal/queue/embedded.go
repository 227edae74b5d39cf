package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// embeddedTick is how often the embedded server lets time pass for what has
// a lifetime.
const embeddedTick = time.Second

// Embedded starts a Redis inside this process and opens it; what o says about
// where Redis is, is not used. It keeps nothing when the process ends, which
// is what a Redis may do at any moment.
func Embedded(ctx context.Context, o Options) (*Queue, error) {
	server := miniredis.NewMiniRedis()
	password := NewID().String() // others on this machine can reach the port
	server.RequireAuth(password)
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("queue: start the embedded Redis: %w", err)
	}
	o.URL, o.Addrs, o.Password = "", []string{server.Addr()}, password
	o.Username, o.DB, o.MasterName, o.Cluster, o.TLS = "", 0, "", false, nil
	q, err := Open(ctx, o)
	if err != nil {
		server.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		age(ctx, server)
	}()
	q.stop = func() {
		cancel()
		<-ended
		server.Close()
	}
	return q, nil
}

// age lets time pass for the keys that have a lifetime. The server can do so
// itself at each command, but then each looks at all of them.
func age(ctx context.Context, server *miniredis.Miniredis) {
	ticker := time.NewTicker(embeddedTick)
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
