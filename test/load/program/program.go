// Package program builds the gateway's binary and runs it for tests, as an operator would: a file, a process, signals. It knows nothing of
// what the gateway does with a request.
package program

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/test/procfs"
)

// Patience is how long a test waits for what has to come. It is long so that a slow machine fails no test.
const Patience = 20 * time.Second

// Binary is a built gateway, or one that is built when a test first needs it.
type Binary struct {
	path string
	race bool
	make func() // builds it, once; nil: it is built
}

// Build builds the gateway into dir, with the race detector where the test itself has it and withRace does not say no.
func Build(dir string, withRace bool) (*Binary, error) {
	b := planned(dir, withRace)
	return b, b.build()
}

func planned(dir string, withRace bool) *Binary {
	return &Binary{path: filepath.Join(dir, "penstock"), race: RaceDetector && withRace}
}

func (b *Binary) build() error {
	args := []string{"build", "-o", b.path}
	if b.race {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/penstock/penstock/cmd/penstock")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("building the gateway: %w\n%s", err, out)
	}
	return nil
}

// Main runs the tests of m with a gateway in what b points to, and ends the process. It is for TestMain. The gateway is built as Build does
// when a test first uses it, so that a run of tests that need no program does not wait for one.
func Main(m *testing.M, b **Binary, withRace bool) { os.Exit(run(m, b, withRace)) }

func run(m *testing.M, b **Binary, withRace bool) int {
	dir, err := os.MkdirTemp("", "penstock")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	lazy := planned(dir, withRace)
	lazy.make = sync.OnceFunc(func() {
		if err := lazy.build(); err != nil {
			panic(err) // every test that needs the program fails, with the compiler's words
		}
	})
	*b = lazy
	return m.Run()
}

// At is a gateway that was built before, at path.
func At(path string) *Binary { return &Binary{path: path} }

// Path is where the built binary is.
func (b *Binary) Path() string {
	if b.make != nil {
		b.make()
	}
	return b.path
}

// Process is a gateway that runs.
type Process struct {
	t      testing.TB
	cmd    *exec.Cmd
	config string
	log    *text
	done   chan struct{} // closed when the process has ended
	err    error         // how it ended; read it after done
	ended  bool          // the test has seen it end
}

// Start runs the gateway on a configuration until the test ends. Listeners on port 0 get a port of their own: Public and Admin tell it.
func (b *Binary) Start(t testing.TB, config string) *Process {
	t.Helper()
	p := &Process{t: t, config: filepath.Join(t.TempDir(), "gateway.yaml"), log: new(text), done: make(chan struct{})}
	p.Write(config)
	p.cmd = exec.Command(b.Path(), "run", "--config", p.config)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.Env = append(os.Environ(), "GOTRACEBACK=all", "GORACE=atexit_sleep_ms=0")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.cleanUp)
	p.Await(`msg=ready`)
	return p
}

// cleanUp ends what still runs, and shows its log where the test has failed or the race detector has spoken.
func (p *Process) cleanUp() {
	if !p.ended {
		p.Signal(syscall.SIGTERM)
		p.Signal(syscall.SIGTERM) // at once
		<-p.done
	}
	log := p.log.String()
	if strings.Contains(log, "WARNING: DATA RACE") || strings.Contains(log, "panicked") || !p.ended && p.err != nil {
		p.t.Errorf("the gateway misbehaved (%v)", p.err)
	}
	if p.t.Failed() {
		p.t.Logf("log of the gateway:\n%s", log[max(0, len(log)-20_000):])
	}
}

// Write puts a configuration in place whole, by renaming.
func (p *Process) Write(config string) {
	p.t.Helper()
	if err := errors.Join(os.WriteFile(p.config+".new", []byte(config), 0o600), os.Rename(p.config+".new", p.config)); err != nil {
		p.t.Fatal(err)
	}
}

// Pid is the number of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends the process a signal; one that has ended gets none.
func (p *Process) Signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signal %v: %v", s, err)
	}
}

// Exit waits for the end of the process and returns its exit code.
func (p *Process) Exit() int {
	p.t.Helper()
	p.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// Wait waits for the end of the process, however it ends.
func (p *Process) Wait() {
	p.t.Helper()
	p.ended = true
	select {
	case <-p.done:
	case <-time.After(Patience):
		p.Signal(syscall.SIGQUIT) // its goroutines tell why
		<-p.done
		p.t.Fatal("the gateway does not end")
	}
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.done }

// Log is what the process has written so far.
func (p *Process) Log() string { return p.log.String() }

// Await waits until the log has a match and returns its last submatch, or all of it.
func (p *Process) Await(pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(Patience); ; time.Sleep(5 * time.Millisecond) {
		if found := re.FindStringSubmatch(p.log.String()); found != nil {
			return found[len(found)-1]
		}
		select {
		case <-p.done:
			p.t.Fatalf("the gateway ended (%v) before its log had %s:\n%s", p.err, pattern, p.log)
		default:
		}
		if time.Now().After(end) {
			p.t.Fatalf("the gateway's log never had %s:\n%s", pattern, p.log)
		}
	}
}

// Count counts matches in the log.
func (p *Process) Count(pattern string) int {
	return len(regexp.MustCompile(pattern).FindAllString(p.log.String(), -1))
}

// Public is the address of the first listener for clients.
func (p *Process) Public() string {
	return p.Await(`msg=listening address=(\S+) admin=false`)
}

// Admin is the address of the operators' listener.
func (p *Process) Admin() string { return p.Await(`msg=listening address=(\S+) admin=true`) }

// PostReload asks for a reload over the admin listener and returns the answer's status.
func (p *Process) PostReload() int {
	p.t.Helper()
	resp, err := http.Post("http://"+p.Admin()+"/reload", "", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode
}

// PeakMemory is the most memory that the process has had at once, in bytes (VmHWM).
func (p *Process) PeakMemory() int64 { return p.memory("VmHWM") }

// Memory is the memory that the process has now, in bytes (VmRSS).
func (p *Process) Memory() int64 { return p.memory("VmRSS") }

func (p *Process) memory(field string) int64 {
	p.t.Helper()
	n, err := procfs.Memory(p.cmd.Process.Pid, field)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// Stacks ends the process by SIGQUIT and returns the stacks of its goroutines. It is how a test finds what should not run any more.
func (p *Process) Stacks() []string {
	p.t.Helper()
	before := len(p.Log())
	p.Signal(syscall.SIGQUIT)
	p.Wait()
	var stacks []string
	for part := range strings.SplitSeq(p.Log()[before:], "\n\n") {
		if strings.HasPrefix(strings.TrimSpace(part), "goroutine ") {
			stacks = append(stacks, part)
		}
	}
	return stacks
}

// text collects what the process writes.
type text struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *text) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *text) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
