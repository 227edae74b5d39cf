//go:build !linux

package testenv

import "syscall"

// dieWithParent has an effect on Linux only. Elsewhere a killed test process
// leaves its servers running.
func dieWithParent() *syscall.SysProcAttr { return nil }
