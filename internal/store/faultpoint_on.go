//go:build faultpoints

package store

import (
	"fmt"
	"os"
)

// DOWNSTREAM_FAULT_DATABASE_CLOCK is an SQL expression for the seconds by which the
// clock of MariaDB is shifted. A test steps the clock if it changes what the
// expression reads.
func init() {
	if seconds := os.Getenv("DOWNSTREAM_FAULT_DATABASE_CLOCK"); seconds != "" {
		mysqlDialect.clock = fmt.Sprintf("(%s + 1000000 * (%s))", mysqlDialect.clock, seconds)
	}
}
