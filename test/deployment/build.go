package deployment

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/driveshare/downstream-node/internal/testenv"
)

const program = "github.com/driveshare/downstream-node/cmd/downstream-node"

// Build builds the node's program into dir and gives its path.
func Build(dir string, tags ...string) (binary string, err error) {
	binary = filepath.Join(dir, "downstream-node")
	build := exec.Command("go", "build", "-tags", strings.Join(tags, ","), "-o", binary, program)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the node: %w\n%s", err, out)
	}
	return binary, nil
}

// Main is testenv.Main with the program built before: its path is put in
// *binary. It is gone when the tests are over.
func Main(m *testing.M, binary *string, tags ...string) {
	dir, err := os.MkdirTemp("", "downstream-node-build-*")
	if err == nil {
		*binary, err = Build(dir, tags...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	testenv.Main(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}
