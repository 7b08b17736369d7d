// Package outside lets a program use what is written for tests.
package outside

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// TB is what the packages for tests need of a test: an end, and a way to fail. It may be used concurrently.
type TB struct {
	testing.TB // never called: all that is used is below
	name       string
	mu         sync.Mutex
	cleanups   []func()
	failed     bool
}

// New is one for the program of that name. End ends it.
func New(name string) *TB { return &TB{name: name} }

// End undoes, the last first.
func (t *TB) End() {
	for {
		t.mu.Lock()
		n := len(t.cleanups)
		if n == 0 {
			t.mu.Unlock()
			return
		}
		f := t.cleanups[n-1]
		t.cleanups = t.cleanups[:n-1]
		t.mu.Unlock()
		f()
	}
}

// Helper does nothing.
func (t *TB) Helper() {}

// Failed reports whether an error was reported.
func (t *TB) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// Cleanup has f called at the end.
func (t *TB) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

// Logf writes to stderr.
func (t *TB) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, t.name+": "+format+"\n", args...)
}

// Errorf writes to stderr, and the program has failed.
func (t *TB) Errorf(format string, args ...any) {
	t.mu.Lock()
	t.failed = true
	t.mu.Unlock()
	t.Logf(format, args...)
}

// Fatal ends the program.
func (t *TB) Fatal(args ...any) { t.Fatalf("%s", fmt.Sprint(args...)) }

// Fatalf ends the program.
func (t *TB) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	t.End()
	os.Exit(1)
}

// TempDir is a new folder, which goes at the end.
func (t *TB) TempDir() string {
	dir, err := os.MkdirTemp("", t.name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
