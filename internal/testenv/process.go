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
	"sync"
	"syscall"
	"testing"
	"time"
)

// Mode is whether a server survives a power cut.
type Mode int

const (
	// Fast never waits for the disk. A MariaDB keeps its data if it is killed,
	// because the operating system writes it; a Redis keeps nothing.
	Fast Mode = iota
	// Durable waits for the disk at every commit, as in production.
	Durable
)

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 30 * time.Second
)

// process is a server that can be stopped and restarted with the same port and
// the same directory.
type process struct {
	name  string // for messages
	path  string
	args  []string
	dir   string
	port  int
	ready func() error // nil when the server answers

	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
}

// newProcess finds the program, and reserves a port and a directory. pkg is the
// Debian package that has the program.
func newProcess(name, program, pkg string) (p process, err error) {
	p = process{name: name}
	if p.path, err = find(program, pkg); err != nil {
		return p, err
	}
	if p.port, err = freePort(); err != nil {
		return p, err
	}
	p.dir, err = newDir()
	return p, err
}

// Stop shuts the server down in order.
func (p *process) Stop(t testing.TB) { t.Helper(); Must(t, p.end(syscall.SIGTERM)) }

// Kill ends the server at once.
func (p *process) Kill(t testing.TB) { t.Helper(); Must(t, p.end(syscall.SIGKILL)) }

// Start restarts the server, and returns when it answers.
func (p *process) Start(t testing.TB) { t.Helper(); Must(t, p.start()) }

// Pause suspends the server: connections stay open, and it does not answer.
func (p *process) Pause() { p.signal(syscall.SIGSTOP) }

// Resume ends a pause.
func (p *process) Resume() { p.signal(syscall.SIGCONT) }

// start starts the server and waits until it answers.
func (p *process) start() error {
	if p.running() {
		return nil
	}
	started := make(chan error)
	p.exited = make(chan struct{})
	go p.run(started)
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	for deadline := time.Now().Add(startTimeout); ; {
		err := p.ready()
		switch {
		case err == nil:
			return nil
		case !p.running():
			return fmt.Errorf("%s ended at once:\n%s", p.name, p.logTail())
		case time.Now().After(deadline):
			p.signal(syscall.SIGKILL)
			return fmt.Errorf("%s does not answer: %w\n%s", p.name, err, p.logTail())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// run starts the command and waits for its end, both on one thread: the kernel
// kills the server when the thread that started it ends.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.exited)
	log, err := os.OpenFile(p.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		started <- err
		return
	}
	defer log.Close()
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Dir = p.dir
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	_ = p.cmd.Wait() // the log says how it ended
}

func (p *process) running() bool {
	if p.exited == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

func (p *process) signal(sig syscall.Signal) {
	if p.running() {
		_ = p.cmd.Process.Signal(sig) // the process may have ended just now
	}
}

// end sends the signal and waits until the server has ended.
func (p *process) end(sig syscall.Signal) error {
	if !p.running() {
		return nil
	}
	p.signal(syscall.SIGCONT) // a paused process handles no other signal
	p.signal(sig)
	select {
	case <-p.exited:
		return nil
	case <-time.After(stopTimeout):
		p.signal(syscall.SIGKILL)
		<-p.exited
		return fmt.Errorf("%s took too long to stop:\n%s", p.name, p.logTail())
	}
}

func (p *process) close() error {
	defer os.RemoveAll(p.dir)
	return p.end(syscall.SIGKILL)
}

func (p *process) logPath() string { return filepath.Join(p.dir, "log") }

func (p *process) logTail() string {
	log, err := os.ReadFile(p.logPath())
	if err != nil {
		return err.Error()
	}
	const tail = 4000
	return string(log[max(0, len(log)-tail):])
}

const dirPrefix = "downstream-node-test-"

// newDir makes a directory whose name has this process's id. It first removes
// the directories of processes that have ended.
func newDir() (string, error) {
	old, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
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
	return os.MkdirTemp("", fmt.Sprintf("%s%d-*", dirPrefix, os.Getpid()))
}

// freePort returns a port without a listener. Another process may still take it
// before the server does.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// find returns the path of a server's program. Daemons are often in directories
// that are not on a user's PATH.
func find(program, pkg string) (string, error) {
	for _, candidate := range []string{program, "/usr/sbin/" + program, "/usr/local/sbin/" + program} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed; `make test` installs it, and so does `apt-get install %s`", program, pkg)
}

// server is a MariaDB or a Redis.
type server interface{ close() error }

// closeWith closes a server when the test ends.
func closeWith[S server](t testing.TB, s S, err error) S {
	t.Helper()
	Must(t, err)
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// shared is a server that the first test starts and Main stops.
type shared[S server] struct {
	launch func() (S, error)

	once    sync.Once
	server  S
	err     error
	started bool
}

func (s *shared[S]) get(t testing.TB) S {
	t.Helper()
	s.once.Do(func() {
		s.started = true
		s.server, s.err = s.launch()
	})
	Must(t, s.err)
	return s.server
}

func (s *shared[S]) stop() {
	if s.started && s.err == nil {
		_ = s.server.close() // the tests have ended
	}
}

var (
	sharedMariaDB = shared[*MariaDB]{launch: func() (*MariaDB, error) { return launchMariaDB(Fast) }}
	sharedRedis   = shared[*Redis]{launch: func() (*Redis, error) { return launchRedis(Fast) }}
)
