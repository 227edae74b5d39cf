// Command kubectl-downstream is the kubectl plugin `kubectl downstream`: it shows
// and manages DownstreamNodes on a cluster.
package main

import (
	"os"

	"github.com/driveshare/downstream-node/cmd/kubectl-downstream/plugin"
	"github.com/driveshare/downstream-node/internal/program"
)

func main() { os.Exit(program.Run(plugin.New(), os.Args[1:])) }
