package queue

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/redisdb/redistest"
	"github.com/driveshare/downstream-node/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var must = testenv.Must

type options struct {
	redisdb.Options
	MaxQueue int
}

// open opens a queue in a new namespace.
func open(t testing.TB, s *redistest.Server, change ...func(*options)) *Queue {
	t.Helper()
	o := options{
		Options:  redisdb.Options{Config: redisdb.Config{URL: config.Secret(s.URL), MasterName: s.MasterName, Cluster: s.Cluster}},
		MaxQueue: config.Default[Config]().MaxQueue,
	}
	if s.Addr != "" {
		o.Addrs = []string{s.Addr}
	}
	o.Namespace = strings.ReplaceAll(t.Name(), "/", ".") + "-" + NewID().String()
	for _, f := range change {
		f(&o)
	}
	db, err := redisdb.Open(o.Options)
	must(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return New(db, Config{MaxQueue: o.MaxQueue}, slog.Default())
}

// flush deletes all data and scripts.
func flush(t testing.TB, q *Queue) {
	t.Helper()
	must(t, q.db.Client.FlushAll(t.Context()).Err())
	must(t, q.db.Client.ScriptFlush(t.Context()).Err())
}
