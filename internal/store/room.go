package store

import (
	"fmt"
	"path/filepath"

	"github.com/driveshare/downstream-node/internal/disk"
)

// leastRoom is the free space on its disk that a SQLite database needs. The small write
// of Beat succeeds even if no further contract fits on the disk.
const leastRoom = 4 << 20

// checkRoom returns an error if the disk of a SQLite database has less free space than
// least. The server of another database reports this itself.
func (s *Store) checkRoom(least uint64) error {
	if s.cfg.Driver != SQLite {
		return nil
	}
	dir := filepath.Dir(s.cfg.Path)
	free, err := disk.Free(dir)
	if err != nil {
		return nil // the write that follows returns the reason
	}
	if free < least {
		return fmt.Errorf("the disk of %s has only %d KiB left: free some space", dir, free>>10)
	}
	return nil
}
