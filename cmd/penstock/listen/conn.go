package listen

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/penstock/penstock/proxy/stall"
	"github.com/penstock/penstock/proxy/wire"
)

// conn is a client connection that reports its closing. So the gate can count connections, and the
// server can still find a connection after net/http has handed it over for a protocol upgrade.
type conn struct {
	net.Conn
	once sync.Once
	left func()                  // leaves the gate; nil if the gate does not count c
	set  atomic.Pointer[connSet] // the server's open connections; nil until a server has it
	gone atomic.Bool             // true once c is closed
	wire *wire.Conn              // answers hits on c; nil if net/http answers everything. Guarded by set.mu

	idle   atomic.Int64               // when c became idle, in Unix nanoseconds; 0 while a request is in flight. Unused if idler is set
	idler  atomic.Pointer[wire.Idler] // knows the idleness of c instead
	active atomic.Int64               // when the first of the requests in flight arrived; unused if idler is set
	waits  stall.Waits                // the waits of its requests; unused if idler is set
}

// rests sets the Idler, which knows whether a request is in flight.
func (c *conn) rests(i wire.Idler) { c.idler.Store(&i) }

// idleSince returns when c became idle, in Unix nanoseconds, or 0 while a request is in flight.
func (c *conn) idleSince() int64 {
	if i := c.idler.Load(); i != nil {
		return (*i).IdleSince()
	}
	return c.idle.Load()
}

// stillSince returns when all requests in flight began to wait for a client that reads and sends
// nothing, in Unix nanoseconds, or 0 if they do not wait.
func (c *conn) stillSince(now time.Time) int64 {
	if i := c.idler.Load(); i != nil {
		if since := (*i).StillSince(now); since != 0 {
			return since
		}
	}
	if c.idle.Load() != 0 {
		return 0
	}
	if now.UnixNano()-c.active.Load() < int64(stall.StillTaking) {
		return c.waits.StillSince(now) // a call may be about to start
	}
	return max(c.waits.StillSince(now), c.waits.LeftSince(now))
}

// endIdle closes c if it is idle or its client has stalled.
func (c *conn) endIdle() {
	i := c.idler.Load()
	if i == nil || (*i).IdleSince() == 0 && (*i).StillSince(time.Now()) == 0 && c.stillSince(time.Now()) != 0 {
		c.Close()
		return
	}
	(*i).EndIdle()
}

// noteState is the http.Server's ConnState hook for connections that only net/http handles.
func noteState(nc net.Conn, state http.ConnState) {
	if c := within(nc); c != nil {
		c.noteState(state)
	}
}

// noteWaits is the http.Server's ConnContext hook. Requests of the connection find its waits in
// their context.
func noteWaits(ctx context.Context, nc net.Conn) context.Context {
	if c := within(nc); c != nil {
		return stall.WithWaits(ctx, &c.waits)
	}
	return ctx
}

// within returns the conn that nc is or wraps, or nil.
func within(nc net.Conn) *conn {
	for {
		switch c := nc.(type) {
		case *tcpConn:
			return c.conn
		case *conn:
			return c
		case interface{ NetConn() net.Conn }:
			nc = c.NetConn()
		default:
			return nil
		}
	}
}

func (c *conn) noteState(state http.ConnState) {
	switch state {
	case http.StateActive, http.StateHijacked:
		c.active.Store(time.Now().UnixNano())
		c.idle.Store(0)
	case http.StateIdle:
		c.idle.Store(time.Now().UnixNano())
	}
}

// Close closes the connection.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		if c.left != nil {
			c.left()
		}
		c.gone.Store(true)
		if s := c.set.Load(); s != nil {
			s.remove(c)
		}
	})
	return err
}

// tcpConn is a conn over TCP. It keeps the methods that net/http uses beyond net.Conn: for closing
// one direction and for finding out how many sent bytes the client has not yet received.
type tcpConn struct {
	*conn
	tcp *net.TCPConn
}

// narrow returns c with the methods of the connection that it wraps.
func (c *conn) narrow() net.Conn {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return &tcpConn{c, tcp}
	}
	return c
}

// SyscallConn gives access to the socket.
func (c *tcpConn) SyscallConn() (syscall.RawConn, error) { return c.tcp.SyscallConn() }

// SetLinger says what happens on closing to bytes that the client has not received.
func (c *tcpConn) SetLinger(sec int) error { return c.tcp.SetLinger(sec) }

// CloseWrite closes the sending direction.
func (c *tcpConn) CloseWrite() error { return c.tcp.CloseWrite() }

// connSet is the set of one server's open connections, including upgraded ones.
type connSet struct {
	mu    sync.Mutex
	open  map[*conn]struct{}
	empty chan struct{} // closed while the set is empty
}

func newConnSet() *connSet {
	s := &connSet{open: map[*conn]struct{}{}, empty: make(chan struct{})}
	close(s.empty)
	return s
}

func (s *connSet) add(nc net.Conn) {
	c := below(nc)
	s.insert(c)
	if c.set.Store(s); c.gone.Load() {
		s.remove(c) // the gate closed it before a server had it
	}
}

func (s *connSet) insert(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) == 0 {
		s.empty = make(chan struct{})
	}
	s.open[c] = struct{}{}
}

// below returns the conn that nc is or wraps.
func below(nc net.Conn) *conn {
	if tcp, ok := nc.(*tcpConn); ok {
		return tcp.conn
	}
	return nc.(*conn)
}

// wire sets the wire that answers hits on a connection.
func (s *connSet) wire(c *conn, w *wire.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.wire = w
	c.rests(w)
}

// closeIdle closes the connections with a wire that have no request in flight. It reports whether
// any connection has received requests that are not yet read.
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
	if _, ok := s.open[c]; !ok {
		return
	}
	if delete(s.open, c); len(s.open) == 0 {
		close(s.empty)
	}
}

// whenEmpty returns a channel that is closed when no connection is open. Call it again for each
// wait.
func (s *connSet) whenEmpty() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.empty
}

// closeAll closes the connections that are still open.
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
