package disk_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/driveshare/downstream-node/internal/disk"
)

func TestFree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if free, err := disk.Free(dir); err != nil || free == 0 || free > 1<<60 {
		t.Errorf("%d bytes are free, %v", free, err)
	}
	if _, err := disk.Free(filepath.Join(dir, "missing")); !os.IsNotExist(err) {
		t.Errorf("of a directory that does not exist: %v", err)
	}
}
