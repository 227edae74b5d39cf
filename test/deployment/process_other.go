//go:build !linux

package deployment

import "syscall"

// dieWithParent needs Linux. On other systems a killed test leaves its node
// running.
func dieWithParent() *syscall.SysProcAttr { return nil }
