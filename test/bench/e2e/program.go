package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"
	"time"
)

// program is a testing.TB outside `go test`. It is for the packages that start
// servers and processes for tests.
type program struct {
	testing.TB // nil: only the methods below are used

	began    time.Time
	failed   bool
	cleanups []func()
	ctx      context.Context
	cancel   context.CancelFunc
}

func newProgram() *program {
	p := &program{began: time.Now()}
	p.ctx, p.cancel = signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	return p
}

// failure is the panic of Fatal, which ends the function that do runs.
type failure string

// do runs work. If work fails, do returns the message of the failure.
func (p *program) do(work func()) (failed string) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			failed = string(r)
		default:
			panic(r)
		}
	}()
	work()
	return ""
}

// cleanUp runs the cleanup functions, with the last one first.
func (p *program) cleanUp() {
	p.cancel()
	for _, cleanup := range slices.Backward(p.cleanups) {
		cleanup()
	}
}

func (p *program) Helper()                  {}
func (p *program) Context() context.Context { return p.ctx }
func (p *program) Failed() bool             { return p.failed }
func (p *program) Cleanup(cleanup func())   { p.cleanups = append(p.cleanups, cleanup) }

func (p *program) Log(args ...any)                 { fmt.Fprintln(os.Stderr, args...) }
func (p *program) Logf(format string, args ...any) { p.Log(fmt.Sprintf(format, args...)) }

func (p *program) Error(args ...any) {
	p.failed = true
	p.Log(args...)
}
func (p *program) Errorf(format string, args ...any) { p.Error(fmt.Sprintf(format, args...)) }

func (p *program) Fatal(args ...any) {
	p.failed = true
	panic(failure(fmt.Sprint(args...)))
}
func (p *program) Fatalf(format string, args ...any) { p.Fatal(fmt.Sprintf(format, args...)) }

func (p *program) TempDir() string {
	dir, err := os.MkdirTemp("", "downstream-node-bench-*")
	p.must(err)
	p.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// must ends the run if err is not nil.
func (p *program) must(err error) {
	if err != nil {
		p.Fatal(err)
	}
}
