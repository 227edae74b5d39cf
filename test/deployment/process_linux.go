package deployment

import "syscall"

// dieWithParent has the kernel kill the process when this one ends, also by a
// panic or SIGKILL.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
