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
	"syscall"
	"time"
)

// Mode is what a server does about power cuts.
type Mode int

const (
	// Fast never waits for the disk. A server that is killed keeps what it
	// was told, since the operating system does; a power cut is not survived.
	Fast Mode = iota
	// Durable waits for the disk at every commit, as in production.
	Durable
)

const (
	startPatience = 60 * time.Second
	stopPatience  = 30 * time.Second
)

// process is a server that can be stopped and started again, on the same port
// and with the same directory.
type process struct {
	name  string // for messages
	path  string
	args  []string
	dir   string
	ready func() error // nil once the server answers

	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
}

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
	for deadline := time.Now().Add(startPatience); ; {
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

// run starts the command and waits for its end, all on one thread: the signal
// that ends the server with this process is sent when the thread that started
// it ends.
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
	_ = p.cmd.Wait() // how it ended is in its log
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
		_ = p.cmd.Process.Signal(sig) // it may have ended just now
	}
}

// end sends the signal and waits until the server is gone.
func (p *process) end(sig syscall.Signal) error {
	if !p.running() {
		return nil
	}
	p.signal(syscall.SIGCONT) // one that is paused takes no other
	p.signal(sig)
	select {
	case <-p.exited:
		return nil
	case <-time.After(stopPatience):
		p.signal(syscall.SIGKILL)
		<-p.exited
		return fmt.Errorf("%s took too long to stop:\n%s", p.name, p.logTail())
	}
}

func (p *process) logPath() string { return filepath.Join(p.dir, "log") }

func (p *process) logTail() string {
	log, err := os.ReadFile(p.logPath())
	if err != nil {
		return err.Error()
	}
	const enough = 4000
	return string(log[max(0, len(log)-enough):])
}

const dirPrefix = "downstream-node-test-"

// newDir makes a directory that carries this process's id, after removing
// those whose process is gone.
func newDir() (string, error) {
	stale, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range stale {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		n, err := strconv.Atoi(pid)
		if err == nil && errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			os.RemoveAll(dir)
		}
	}
	return os.MkdirTemp("", fmt.Sprintf("%s%d-*", dirPrefix, os.Getpid()))
}

// freePort is a port that nobody listens on. That it stays so until the server
// has it is likely, not certain.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// find looks for a server's program, also where daemons are and users'
// searches do not look.
func find(name, debianPackage string) (string, error) {
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: `make test` installs it, as does `apt-get install %s`", name, debianPackage)
}
