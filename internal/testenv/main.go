package testenv

import (
	"testing"

	"go.uber.org/goleak"
)

// Main runs a package's tests, stops the shared servers and fails if any
// goroutine is left.
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
func Main(m *testing.M, options ...goleak.Option) {
	goleak.VerifyTestMain(thenStop{m}, options...)
}

type thenStop struct{ *testing.M }

func (m thenStop) Run() int {
	defer sharedMariaDB.stop()
	defer sharedRedis.stop()
	return m.M.Run()
}
