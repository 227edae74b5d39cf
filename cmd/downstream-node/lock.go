package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// lockDir makes a directory, where it is not there, and keeps other processes
// from using it until unlock is called or this one ends.
func lockDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	if !held {
		return nil, fmt.Errorf("another process is at work in %s: stop it, or choose another directory", dir)
	}
	return func() { _ = lock.Unlock() }, nil
}
