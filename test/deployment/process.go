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

// endPatience is how long a process that was asked to end may take.
const endPatience = 60 * time.Second

// Process is one process of the node's program.
type Process struct {
	Name string

	cmd    *exec.Cmd
	log    string // path
	exited chan struct{}
}

// launch starts the program. It is killed with the test, and shows the end of
// its log where the test failed.
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
			t.Logf("the end of %s's log:\n%s", name, p.LogTail())
		}
	})
	return p
}

// run starts the process and waits for its end on one thread: the signal that
// ends it with this process is sent when the thread that started it ends.
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
	_ = p.cmd.Wait() // how it ended is in its state
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Running says whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// KilledBy is the signal that ended the process; 0 where none did. It has
// ended.
func (p *Process) KilledBy() syscall.Signal {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return 0
	}
	return status.Signal()
}

// Kill ends the process on the spot, paused or not.
func (p *Process) Kill() {
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// Pause keeps the process from running: its connections stay, and it does not
// notice how the time goes by.
func (p *Process) Pause() { p.signal(syscall.SIGSTOP) }

// Resume ends a pause.
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

// Terminate asks the process to end, as Kubernetes does, and fails the test
// unless it does so in order.
func (p *Process) Terminate(t testing.TB) {
	t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(endPatience):
		p.Kill()
		t.Fatalf("%s did not end within %v of SIGTERM", p.Name, endPatience)
	}
	if !p.cmd.ProcessState.Success() {
		t.Errorf("%s after SIGTERM: %v", p.Name, p.cmd.ProcessState)
	}
}

func (p *Process) signal(sig syscall.Signal) {
	if p.Running() {
		_ = p.cmd.Process.Signal(sig) // it may have ended just now; os knows
	}
}

// LogTail is the end of what the process wrote.
func (p *Process) LogTail() string {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Sprint(err)
	}
	const enough = 4000
	return string(log[max(0, len(log)-enough):])
}
