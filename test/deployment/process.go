package deployment

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// endTimeout is how long a process may take to end after SIGTERM.
const endTimeout = 60 * time.Second

// Process is one process of the node's program.
type Process struct {
	Name string

	cmd    *exec.Cmd
	log    string // path
	exited chan struct{}
}

// launch starts the program. The test's cleanup kills it, and prints the end of
// its log if the test failed.
func launch(t testing.TB, name, log string, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Name: name, cmd: cmd, log: log, exited: make(chan struct{})}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("end of %s's log:\n%s", name, p.LogTail())
		}
	})
	return p
}

// run starts the process and waits for its end on one thread, because the
// kernel sends the parent-death signal when the thread that started it ends.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.exited)
	log, err := os.Create(p.log)
	if err != nil {
		started <- err
		return
	}
	defer log.Close()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	_ = p.cmd.Wait() // ProcessState has the result
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// KilledBy returns the signal that ended the process, or 0. The process must
// have ended.
func (p *Process) KilledBy() syscall.Signal {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return 0
	}
	return status.Signal()
}

// Kill ends the process at once, also if it is paused.
func (p *Process) Kill() {
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// Pause stops the process with SIGSTOP. Its connections stay open.
func (p *Process) Pause() { p.signal(syscall.SIGSTOP) }

// Resume continues a paused process.
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

// Terminate sends SIGTERM, as Kubernetes does, and fails the test unless the
// process ends with status 0.
func (p *Process) Terminate(t testing.TB) {
	t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(endTimeout):
		p.Kill()
		t.Fatalf("%s did not end within %v of SIGTERM", p.Name, endTimeout)
	}
	if !p.cmd.ProcessState.Success() {
		t.Errorf("%s after SIGTERM: %v", p.Name, p.cmd.ProcessState)
	}
}

func (p *Process) signal(sig syscall.Signal) {
	if p.Running() {
		_ = p.cmd.Process.Signal(sig) // fails only if the process has just ended
	}
}

// LogTail returns the last 4000 bytes of the process's log.
func (p *Process) LogTail() string {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(log[max(0, len(log)-4000):])
}
