package testenv

import "syscall"

// dieWithParent makes the kernel kill the server when this process ends, also if
// it panics or is killed.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
