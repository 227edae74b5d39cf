package testenv

import "syscall"

// dieWithParent has the kernel kill the server when this process ends, also
// by a panic or SIGKILL.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
