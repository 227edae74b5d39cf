// Command downstream-node is a proof-of-storage verification node: the API
// that farmers call, the workers that verify their proofs, the operator that
// runs both on Kubernetes, and all of it in one process for a laptop.
package main

import (
	"os"

	"github.com/driveshare/downstream-node/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args)) }
