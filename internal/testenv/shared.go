package testenv

import (
	"sync"
	"testing"
)

// shared is a server that starts with the first test that asks, and ends with
// the process.
type shared[S interface{ close() error }] struct {
	launch func() (S, error)

	once   sync.Once
	server S
	err    error
	asked  bool
}

func (s *shared[S]) get(t testing.TB) S {
	t.Helper()
	s.once.Do(func() {
		s.asked = true
		s.server, s.err = s.launch()
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.server
}

func (s *shared[S]) stop() {
	if s.asked && s.err == nil {
		_ = s.server.close() // the tests have their results
	}
}

var (
	sharedMariaDB = shared[*MariaDB]{launch: func() (*MariaDB, error) { return launchMariaDB(Fast) }}
	sharedRedis   = shared[*Redis]{launch: func() (*Redis, error) { return launchRedis(Fast) }}
)
