// Command kubectl-downstream is the kubectl plugin `kubectl downstream`: it shows
// and manages DownstreamNodes on a cluster.
package main

import (
	"os"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/driveshare/downstream-node/cmd/kubectl-downstream/plugin"
	"github.com/driveshare/downstream-node/internal/program"
)

func main() {
	log.SetLogger(logr.Discard()) // without a logger, the client prints a stack trace after 30 seconds
	os.Exit(program.Run(plugin.New(), os.Args[1:]))
}
