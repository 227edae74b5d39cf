package testenv

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 60 * time.Second // maximum time until a server responds
	stopTimeout  = 60 * time.Second // maximum time from SIGTERM to the end
)

// Process is a program that a test runs. It ends at the latest when the test
// process ends.
type Process struct {
	Name string // name for messages

	cmd    *exec.Cmd
	log    string        // path of the log file
	exited chan struct{} // closed when the process has ended
}

// StartProcess starts cmd and appends its output to the file log.
func StartProcess(name, log string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{Name: name, cmd: cmd, log: log, exited: make(chan struct{})}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return p, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// run starts the process and waits for its end on one thread, because the kernel
// sends the parent-death signal when the thread that started the process ends.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.exited)
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		started <- err
		return
	}
	defer log.Close()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if p.cmd.SysProcAttr == nil {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	dieWithParent(p.cmd.SysProcAttr)
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	_ = p.cmd.Wait() // ProcessState has the result
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited returns a channel that is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Running reports whether the process is still running.
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

// Kill ends the process immediately, even if it is paused.
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
	p.Resume() // a paused process handles no other signal
	p.signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		p.Kill()
		t.Fatalf("%s did not end within %v of SIGTERM:\n%s", p.Name, stopTimeout, p.LogTail())
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
		return err.Error()
	}
	return string(log[max(0, len(log)-4000):])
}

// PeakMemory returns the process's peak resident memory in bytes.
func (p *Process) PeakMemory(t testing.TB) int64 { t.Helper(); return p.memory(t, "VmHWM") }

// Memory returns the process's resident memory in bytes.
func (p *Process) Memory(t testing.TB) int64 { t.Helper(); return p.memory(t, "VmRSS") }

func (p *Process) memory(t testing.TB, field string) int64 {
	t.Helper()
	kib, err := strconv.ParseInt(strings.TrimSuffix(p.status(t, field), " kB"), 10, 64)
	if err != nil {
		t.Fatalf("memory of %s: %v", p.Name, err)
	}
	return kib << 10
}

// Paused reports whether the process is stopped by a signal.
func (p *Process) Paused(t testing.TB) bool {
	t.Helper()
	return strings.HasPrefix(p.status(t, "State"), "T")
}

// status returns one field of /proc/PID/status.
func (p *Process) status(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	Must(t, err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("/proc status of %s has no line %s", p.Name, name)
	return ""
}

// server is a Process that can be restarted with the same port and directory.
type server struct {
	*Process
	name  string
	path  string
	args  []string
	dir   string
	port  int
	ready func() error // returns nil if the server responds

	account *syscall.Credential // the user that runs the server, if it is not that of the test
}

// newServer finds the program, and reserves a port and a directory. pkg is the name
// of the Debian package that contains the program.
func newServer(mode Mode, name, program, pkg string) (s server, err error) {
	s = server{name: name}
	if s.path, err = find(program, pkg); err != nil {
		return s, err
	}
	if s.port, err = FreePort(); err != nil {
		return s, err
	}
	s.dir, err = newDir(mode)
	return s, err
}

// Start restarts a server that has ended. It returns when the server responds.
func (s *server) Start(t testing.TB) { t.Helper(); Must(t, s.start()) }

func (s *server) start() (err error) {
	cmd := exec.Command(s.path, s.args...)
	cmd.Dir = s.dir
	if s.account != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.account}
	}
	if s.Process, err = StartProcess(s.name, filepath.Join(s.dir, "log"), cmd); err != nil {
		return err
	}
	return s.await(s.ready)
}

// await waits until check returns nil. If the wait is too long or the server ends,
// await kills the server and returns an error.
func (s *server) await(check func() error) error {
	for deadline := time.Now().Add(startTimeout); ; {
		err := check()
		switch {
		case err == nil:
			return nil
		case !s.Running():
			return fmt.Errorf("%s ended before it responded:\n%s", s.Name, s.LogTail())
		case time.Now().After(deadline):
			s.Kill()
			return fmt.Errorf("%s does not respond: %w\n%s", s.Name, err, s.LogTail())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *server) close() {
	s.Kill()
	os.RemoveAll(s.dir)
}

const dirPrefix = "downstream-node-test-"

// newDir creates a directory whose name contains the id of this process. It first
// removes the directories of processes that have ended.
func newDir(mode Mode) (string, error) {
	parent := os.TempDir()
	if mode == Fast {
		parent = memoryDir()
	}
	old, err := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range old {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		n, err := strconv.Atoi(pid)
		if err == nil && errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			os.RemoveAll(dir)
		}
	}
	return os.MkdirTemp(parent, fmt.Sprintf("%s%d-*", dirPrefix, os.Getpid()))
}

// FreePort takes ports from firstPort to lastPort. Linux gives outgoing connections the
// ports above these, so a connection cannot take a port before the server opens it.
const firstPort, lastPort, portsOfProcess = 10000, 32767, 256

// portsTried is the number of ports that FreePort has tried.
var portsTried atomic.Int64

// FreePort returns a port that has no listener. It returns a port again only after it
// has tried all others, because a test may start a server that it killed at its old port.
// Test processes that run at the same time begin at different ports.
func FreePort() (int, error) {
	const ports = lastPort - firstPort + 1
	start := os.Getpid() * portsOfProcess
	for range ports {
		port := firstPort + (start+int(portsTried.Add(1)))%ports
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, fmt.Errorf("every port from %d to %d is in use", firstPort, lastPort)
}

// FreeAddress returns an address on loopback that has no listener.
func FreeAddress(t testing.TB) string {
	t.Helper()
	port, err := FreePort()
	Must(t, err)
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// find returns the path of a server's program. Such programs are often in
// directories that are not on a user's PATH.
func find(program, pkg string) (string, error) {
	for _, candidate := range []string{program, "/usr/sbin/" + program, "/usr/local/sbin/" + program} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed; `make test` installs it, and so does `apt-get install %s`", program, pkg)
}
