package deployment

import "syscall"

// dieWithParent lets the kernel kill the process when this one ends, also
// after a panic or SIGKILL.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
