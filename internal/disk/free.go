//go:build !windows

package disk

import "syscall"

// Free returns how many bytes this process can still write to the disk of a directory.
func Free(dir string) (uint64, error) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return 0, err
	}
	return disk.Bavail * uint64(disk.Bsize), nil
}
