// Package redistest starts real Redis servers for tests: one, a Sentinel group or a cluster, each on free ports with a directory of its own and
// without persistence, and a proxy that spoils the connection to them. All of it ends with the test.
//
// It knows nothing of what is stored in them.
package redistest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	binary       = "redis-server"
	startTimeout = 15 * time.Second
	startTries   = 3 // a port that was free may be taken when the server wants it
	pollInterval = 5 * time.Millisecond
)

// Server is a running redis-server.
type Server struct {
	Addr string // host:port

	tb   testing.TB
	dir  string
	args []string
	mu   sync.Mutex
	cmd  *exec.Cmd
}

// Start runs a redis-server with further arguments such as "--maxmemory", "1mb". It accepts commands when Start returns.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	return launch(tb, func(port string) []string {
		return append([]string{"--port", port, "--save", "", "--appendonly", "no"}, args...)
	})
}

// launch tries ports until a server with the arguments for one of them is up.
func launch(tb testing.TB, arguments func(port string) []string) *Server {
	tb.Helper()
	var err error
	for range startTries {
		port := freePort(tb)
		s := &Server{Addr: net.JoinHostPort("127.0.0.1", port), tb: tb, dir: tb.TempDir(), args: arguments(port)}
		tb.Cleanup(s.Stop)
		if err = s.run(); err == nil {
			return s
		}
		s.Stop()
	}
	tb.Fatal(err)
	return nil
}

// URL is the server's address as a redis:// URL.
func (s *Server) URL() string { return "redis://" + s.Addr }

// Port is the port of Addr.
func (s *Server) Port() string {
	_, port, _ := net.SplitHostPort(s.Addr)
	return port
}

// Pid is the process of the server, 0 when it is stopped.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

// Stop kills the server; what it held is lost.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended by itself
	_ = s.cmd.Wait()         // says that it was killed
	s.cmd = nil
}

// Restart stops the server and starts it empty on the same port, with further arguments.
func (s *Server) Restart(args ...string) {
	s.tb.Helper()
	s.Stop()
	s.args = append(s.args[:len(s.args):len(s.args)], args...)
	if err := s.run(); err != nil {
		s.tb.Fatal(err)
	}
}

// Pause stops the process without ending it: connections stay open and nothing is answered.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		s.tb.Fatalf("redistest: %s is stopped, it can't be sent %v", s.Addr, sig)
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.tb.Fatalf("redistest: %v to %s: %v", sig, s.Addr, err)
	}
}

// run starts the process and waits until it answers.
func (s *Server) run() error {
	path, err := exec.LookPath(binary)
	if err != nil {
		return fmt.Errorf("redistest: %w; install it with `apt-get install redis-server`", err)
	}
	logName := filepath.Join(s.dir, "log")
	log, err := os.Create(logName)
	if err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(path, append(s.args, "--bind", "127.0.0.1", "--dir", s.dir, "--daemonize", "no")...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = bound()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	s.mu.Lock()
	s.cmd = cmd
	s.mu.Unlock()
	if err := s.await(); err != nil {
		said, _ := os.ReadFile(logName)
		return fmt.Errorf("redistest: %s did not start: %w\n%s", s.Addr, err, said)
	}
	return nil
}

// await polls until the server, and not another one that has its port, answers.
func (s *Server) await() (err error) {
	for end := time.Now().Add(startTimeout); time.Now().Before(end); time.Sleep(pollInterval) {
		var pid string
		if pid, err = s.info("server", "process_id"); err == nil && pid == fmt.Sprint(s.Pid()) {
			return nil
		}
	}
	return err
}

// freePort is a port on which nobody listens.
func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
