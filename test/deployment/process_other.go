//go:build !linux

package deployment

import "syscall"

// dieWithParent exists on Linux alone: elsewhere a test process that is killed
// leaves its node running.
func dieWithParent() *syscall.SysProcAttr { return nil }
