package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// socket is a bound address. It accepts connections for the server that currently serves the
// address. It outlives servers, so new settings take effect without closing the address.
type socket struct {
	listener net.Listener
	gate     *gate // nil if connections are not counted
	failures *AcceptFailures
	log      *slog.Logger
	conns    chan net.Conn
	stop     chan struct{} // closed by close
	done     chan struct{} // closed when no more connections are accepted
	once     sync.Once
}

// bind listens on an address, host:port or unix:/path, and counts failures to accept in failures.
func bind(address string, g *gate, failures *AcceptFailures, log *slog.Logger) (*socket, error) {
	network, addr := Network(address)
	if network == "unix" {
		if err := removeStale(addr); err != nil {
			return nil, err
		}
	}
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 15 * time.Second, Count: 4}}
	ln, err := lc.Listen(context.Background(), network, addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	if network == "unix" {
		if err := os.Chmod(addr, 0o600); err != nil {
			return nil, errors.Join(err, ln.Close())
		}
	}
	s := &socket{listener: ln, gate: g, failures: failures, log: log, conns: make(chan net.Conn), stop: make(chan struct{}), done: make(chan struct{})}
	go s.accept()
	return s, nil
}

// removeStale removes a socket file on which no process listens. Anything else at that path stays,
// and Listen fails.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && info.Mode()&fs.ModeSocket == 0) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return fmt.Errorf("cannot listen on unix:%s: another process does", path)
	}
	return os.Remove(path)
}

// accept passes connections on until the socket is closed. If accepting fails, for example for lack
// of file descriptors, it pauses and continues, like net/http.
func (s *socket) accept() {
	defer close(s.done)
	pause := time.Duration(0)
	for {
		c, err := s.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Error("accepting failed", "address", s.listener.Addr().String(), "reason", s.failures.note(err), "error", err) // without the pause, so that repeated lines are folded
			if !s.sleep(pause) {
				return
			}
			continue
		}
		pause = 0
		if !s.handOn(c) {
			return
		}
	}
}

func (s *socket) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.stop:
		return false
	}
}

// handOn waits until the gate and a server accept c. It returns false if the socket is closed
// first.
func (s *socket) handOn(c net.Conn) bool {
	counted := &conn{Conn: c}
	counted.idle.Store(time.Now().UnixNano())
	if s.gate != nil {
		if !s.gate.enter(counted, s.stop) {
			c.Close()
			return false
		}
		counted.left = func() { s.gate.leave(counted) }
	}
	select {
	case s.conns <- counted.narrow():
		return true
	case <-s.stop:
		counted.Close()
		return false
	}
}

// close stops listening. Accepted connections stay open.
func (s *socket) close() {
	s.once.Do(func() {
		close(s.stop)
		s.listener.Close()
	})
	<-s.done
}

// tap is one server's view of a socket: a net.Listener whose Close leaves the socket open for the
// next server.
type tap struct {
	socket *socket
	closed chan struct{}
	once   sync.Once
	conns  *connSet
}

func newTap(s *socket) *tap {
	return &tap{socket: s, closed: make(chan struct{}), conns: newConnSet()}
}

// Accept waits for the next connection.
func (t *tap) Accept() (net.Conn, error) {
	select {
	case <-t.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-t.socket.conns:
		t.conns.add(c)
		return c, nil
	case <-t.closed:
	case <-t.socket.done:
	}
	return nil, net.ErrClosed
}

// Close ends Accept.
func (t *tap) Close() error {
	t.once.Do(func() { close(t.closed) })
	return nil
}

// Addr returns the bound address.
func (t *tap) Addr() net.Addr { return t.socket.listener.Addr() }

// Network splits an address, host:port or unix:/path, into the arguments of net.Listen and
// net.Dial.
func Network(address string) (network, addr string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", address
}
