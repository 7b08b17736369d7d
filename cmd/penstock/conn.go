package main

import (
	"io"
	"net"
	"sync"

	"github.com/penstock/penstock/proxy/wire"
)

// conn is a client's connection that says when it is closed. It is how connections are counted and, once net/http has
// given them away to a protocol upgrade, still found.
type conn struct {
	net.Conn
	once sync.Once
	left func()     // gives the place at the gate back; nil: none was taken
	set  *connSet   // the server's open connections; nil until a server has it
	wire *wire.Conn // what answers hits on it; nil: net/http answers all. Guarded by set.mu
}

// Close closes the connection.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		if c.left != nil {
			c.left()
		}
		if c.set != nil {
			c.set.remove(c)
		}
	})
	return err
}

// tcpConn is a conn over TCP. It keeps what net/http looks for beyond net.Conn: sendfile and splice by ReadFrom, and
// closing one direction.
type tcpConn struct {
	*conn
	tcp *net.TCPConn
}

// narrow is c with the abilities of what it wraps.
func (c *conn) narrow() net.Conn {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return &tcpConn{c, tcp}
	}
	return c
}

// ReadFrom lets the kernel copy where it can.
func (c *tcpConn) ReadFrom(r io.Reader) (int64, error) { return c.tcp.ReadFrom(r) }

// CloseWrite ends the sending direction.
func (c *tcpConn) CloseWrite() error { return c.tcp.CloseWrite() }

// connSet is the open connections of one server, those that were upgraded among them.
type connSet struct {
	mu    sync.Mutex
	open  map[*conn]struct{}
	empty chan struct{} // closed while there is none
}

func newConnSet() *connSet {
	s := &connSet{open: map[*conn]struct{}{}, empty: make(chan struct{})}
	close(s.empty)
	return s
}

func (s *connSet) add(nc net.Conn) {
	c := below(nc)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.set = s
	if len(s.open) == 0 {
		s.empty = make(chan struct{})
	}
	s.open[c] = struct{}{}
}

// below is the conn that nc is, or wraps.
func below(nc net.Conn) *conn {
	if tcp, ok := nc.(*tcpConn); ok {
		return tcp.conn
	}
	return nc.(*conn)
}

// wire notes what answers hits on a connection.
func (s *connSet) wire(c *conn, w *wire.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.wire = w
}

// closeIdle closes the connections that have no request in flight, of those on which net/http does not know whether they have. It reports whether
// requests have come that nobody has read yet.
func (s *connSet) closeIdle() (coming bool) {
	s.mu.Lock()
	var wires []*wire.Conn
	for c := range s.open {
		if c.wire != nil {
			wires = append(wires, c.wire)
		}
	}
	s.mu.Unlock()
	for _, w := range wires {
		coming = w.CloseIdle() || coming
	}
	return coming
}

func (s *connSet) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	if len(s.open) == 0 {
		close(s.empty)
	}
}

// whenEmpty is closed when no connection is open; ask again after each wait.
func (s *connSet) whenEmpty() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.empty
}

// closeAll closes what is still open.
func (s *connSet) closeAll() {
	s.mu.Lock()
	left := make([]*conn, 0, len(s.open))
	for c := range s.open {
		left = append(left, c)
	}
	s.mu.Unlock()
	for _, c := range left {
		c.Close()
	}
}
