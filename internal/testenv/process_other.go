//go:build !linux

package testenv

import (
	"os"
	"syscall"
)

// dieWithParent has an effect on Linux only. On other systems, a test that is
// killed leaves its processes running.
func dieWithParent(*syscall.SysProcAttr) {}

func memoryDir() string { return os.TempDir() }
