//go:build clusters

package store

import (
	"testing"

	"github.com/driveshare/downstream-node/internal/testenv"
)

// With this tag, the connections of each store go to the nodes of a Galera cluster in turn.
// This is the hardest case: two transactions of one process run on different nodes.
func init() {
	newDatabase = func(t testing.TB) string { t.Helper(); return testenv.SharedGalera(t).NewDatabase(t) }
}
