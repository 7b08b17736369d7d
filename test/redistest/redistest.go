// Package redistest starts real Redis servers for tests: a single server, a Sentinel group or a
// cluster. Each server has a free port and its own directory, and does not persist data. A proxy
// can disturb the connections to them. All of it stops when the test ends.
//
// It does not depend on the data in the servers.
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
	startTries   = 3 // another process may take a free port before the server does
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

// Start runs a redis-server with further arguments, such as "--maxmemory", "1mb". When it returns,
// the server accepts commands.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	return launch(tb, func(port string) []string {
		return append([]string{"--port", port, "--save", "", "--appendonly", "no"}, args...)
	})
}

// launch tries ports until a server with the arguments for the port has started.
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

// URL returns the server's address as a redis:// URL.
func (s *Server) URL() string { return "redis://" + s.Addr }

// Port returns the port of Addr.
func (s *Server) Port() string {
	_, port, _ := net.SplitHostPort(s.Addr)
	return port
}

// Pid returns the server's process ID, or 0 if it is stopped.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

// Stop kills the server. Its data is lost.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended already
	_ = s.cmd.Wait()         // the error says that it was killed
	s.cmd = nil
}

// Restart stops the server and starts it without data on the same port, with further arguments.
func (s *Server) Restart(args ...string) {
	s.tb.Helper()
	s.Stop()
	s.args = append(s.args[:len(s.args):len(s.args)], args...)
	if err := s.run(); err != nil {
		s.tb.Fatal(err)
	}
}

// Dump returns a copy of the server's current data, for RestartFrom.
func (s *Server) Dump() ([]byte, error) {
	if _, err := s.Do("SAVE"); err != nil {
		return nil, err
	}
	defer os.Remove(s.dumpName()) // Restart must start without data
	return os.ReadFile(s.dumpName())
}

// RestartFrom stops the server and starts it with the data of a Dump, with further arguments.
func (s *Server) RestartFrom(dump []byte, args ...string) {
	s.tb.Helper()
	s.Stop()
	if err := os.WriteFile(s.dumpName(), dump, 0o600); err != nil {
		s.tb.Fatal(err)
	}
	defer os.Remove(s.dumpName())
	s.args = append(s.args[:len(s.args):len(s.args)], args...)
	if err := s.run(); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *Server) dumpName() string { return filepath.Join(s.dir, "dump.rdb") }

// Pause suspends the process: connections stay open without answers.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume resumes a paused server.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		s.tb.Fatalf("redistest: %s is stopped and cannot receive %v", s.Addr, sig)
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

// await polls until this server answers, and not another one on its port.
func (s *Server) await() (err error) {
	for end := time.Now().Add(startTimeout); time.Now().Before(end); time.Sleep(pollInterval) {
		var pid string
		if pid, err = s.info("server", "process_id"); err == nil && pid == fmt.Sprint(s.Pid()) {
			return nil
		}
	}
	return err
}

// freePort returns a port on which no process listens.
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
