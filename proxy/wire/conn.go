package wire

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// mode says what Read is for.
type mode uint8

const (
	between  mode = iota // no request is in flight
	inFlight             // net/http has one: it gets the rest of it, and nothing behind
	aside                // net/http has the connection
)

// Conn is a client's connection with a wire. But for Close and the deadlines it is used as net/http does: Read by the goroutine that serves it and, while
// a request is in flight, by one that waits for the client to go; never by both.
type Conn struct {
	net.Conn // what is closed
	raw      net.Conn
	server   *Server
	peer     Peer

	mode    mode
	handed  Handed // of the request in flight
	last    bool   // the connection is closed after the request in flight
	left    int64  // bytes of the request in flight that net/http has not got yet
	scanned int    // so much of an incomplete head was looked through, up to the beginning of a line
	// kept has what was read from the socket and belongs to nobody yet; net/http's buffer had no room for it.
	kept  []byte
	phase atomic.Uint32
	used  atomic.Bool // some requests were answered here

	timing
	waiting
}

// The phases of a connection, as others see it who want to close it.
const (
	phaseParked    = iota // between requests, waiting for bytes
	phaseAnswering        // an answer is being made or written
	phaseClosing          // the same, and it is to be closed then
	phaseTaken            // net/http has a request, or the connection
	phaseClosed
)

func (c *Conn) wire() *Conn { return c }

// Plain is c as net/http wants a connection over TCP.
func (c *Conn) Plain() net.Conn {
	if tcp, ok := c.raw.(tcpAbilities); ok {
		return &tcpConn{c, tcp}
	}
	return c
}

// TLS is c, whose raw is the given connection after its handshake, as net/http wants it.
func (c *Conn) TLS(conn *tls.Conn) net.Conn {
	c.peer.TLS = true
	return &tlsConn{c, conn}
}

// tcpConn keeps what net/http looks for beyond net.Conn: sendfile and splice, and closing one direction.
type tcpConn struct {
	*Conn
	tcp tcpAbilities
}

type tcpAbilities interface {
	io.ReaderFrom
	CloseWrite() error
}

// ReadFrom lets the kernel copy where it can.
func (c *tcpConn) ReadFrom(r io.Reader) (int64, error) { return c.tcp.ReadFrom(r) }

// CloseWrite ends the sending direction.
func (c *tcpConn) CloseWrite() error { return c.tcp.CloseWrite() }

// tlsConn tells net/http of the TLS connection that requests come over.
type tlsConn struct {
	*Conn
	tls *tls.Conn
}

// ConnectionState is where net/http takes Request.TLS from.
func (c *tlsConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// CloseWrite ends the sending direction.
func (c *tlsConn) CloseWrite() error { return c.tls.CloseWrite() }

// Write writes to the client.
func (c *Conn) Write(p []byte) (int, error) { return c.raw.Write(p) }

// Read gives net/http what is for it.
func (c *Conn) Read(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case c.mode == between:
		return c.converse(p)
	case c.mode == aside:
		return c.take(p)
	case c.left == 0:
		return c.await(p)
	}
	n, err := c.take(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// take reads what was kept, else from the socket.
func (c *Conn) take(p []byte) (int, error) {
	if len(c.kept) == 0 {
		return c.raw.Read(p)
	}
	n := copy(p, c.kept)
	if c.kept = c.kept[n:]; len(c.kept) == 0 {
		c.kept = nil
	}
	return n, nil
}

// await is for net/http's question whether the client is still there while its request is answered. A byte of the next request says yes, but is not for
// net/http yet: then it waits until it is interrupted, as net/http does itself.
func (c *Conn) await(p []byte) (int, error) {
	if len(c.kept) == 0 {
		n, err := c.raw.Read(p[:1])
		if n == 0 {
			return 0, err
		}
		c.kept = append([]byte(nil), p[0])
	}
	c.untilInterrupted()
	return 0, os.ErrDeadlineExceeded
}

// idle is called when the response to the request in flight is done.
func (c *Conn) idle() {
	if c.mode != inFlight {
		return
	}
	if c.last {
		c.shut()
		return
	}
	if c.left > 0 {
		c.stepAside() // net/http has not read what we thought is the request
		return
	}
	c.mode, c.handed, c.later = between, Handed{}, true
	c.phase.CompareAndSwap(phaseTaken, phaseParked)
}

// stepAside gives net/http the connection for good.
func (c *Conn) stepAside() { c.mode = aside }

// Close closes the connection, but lets an answer that is being written go out first: to net/http such a connection looks idle. Who can't wait closes
// what lies below.
func (c *Conn) Close() error {
	if c.phase.CompareAndSwap(phaseAnswering, phaseClosing) || c.phase.Load() == phaseClosing {
		return nil
	}
	return c.shut()
}

func (c *Conn) shut() error {
	c.phase.Store(phaseClosed)
	c.interrupt()
	return c.Conn.Close()
}

// CloseIdle closes c if no request is in flight on it and some were answered here, of which net/http does not know. One that is being answered is
// closed after that. It reports whether c was left as it is since something has come that has yet to be read: a request that its client sent before it
// could know of the end.
func (c *Conn) CloseIdle() (coming bool) {
	if c.phase.Load() == phaseParked && unread(c.raw) {
		return true
	}
	if c.used.Load() && c.phase.CompareAndSwap(phaseParked, phaseClosed) {
		c.Conn.Close()
		return false
	}
	c.phase.CompareAndSwap(phaseAnswering, phaseClosing)
	return false
}

// waiting is how await is interrupted.
type waiting struct {
	mu     sync.Mutex
	cond   *sync.Cond // nil: nobody waits
	signal bool
}

func (w *waiting) untilInterrupted() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.signal {
		if w.cond == nil {
			w.cond = sync.NewCond(&w.mu)
		}
		w.cond.Wait()
	}
}

func (w *waiting) interrupt() { w.setSignal(true) }

func (w *waiting) setSignal(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.signal = on
	if on && w.cond != nil {
		w.cond.Broadcast()
	}
}
