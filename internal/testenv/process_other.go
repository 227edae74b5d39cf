//go:build !linux

package testenv

import (
	"os"
	"syscall"
)

// dieWithParent has an effect on Linux only. Elsewhere a killed test leaves its
// processes running.
func dieWithParent() *syscall.SysProcAttr { return nil }

func memoryDir() string { return os.TempDir() }
