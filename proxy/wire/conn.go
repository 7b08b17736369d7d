package wire

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// mode is the current task of Read.
type mode uint8

const (
	between    mode = iota // no request is in flight
	inFlight               // net/http handles a request: it gets the rest of that request, and no byte after it
	handedOver             // net/http has the connection for good
	finished               // no more bytes are read
)

// Conn is a client's connection with a wire. Except for Close and the deadlines, it must be used as
// net/http does. Read is called by the goroutine that serves the connection or, while a request is
// in flight, by a goroutine that waits for the client to disconnect, but never by both.
type Conn struct {
	net.Conn // the connection to close
	raw      net.Conn
	server   *Server
	peer     Peer

	mode    mode
	handed  Handed     // for the request in flight
	last    bool       // true if the connection must be closed after the request in flight
	left    int64      // bytes of the request in flight that net/http has not read yet, without a chunked body
	chunks  chunks     // of the request in flight, after the left bytes
	reading sync.Mutex // held while net/http reads, except for a wait between requests; later by drain
	scanned int        // bytes of an incomplete head that were searched, up to the start of a line
	// kept holds bytes that were read from the socket and did not fit into net/http's buffer.
	kept  []byte
	phase atomic.Uint32
	used  atomic.Bool // true if requests were answered here

	timing
	waiting
	resting
	unfinished
}

// Phases of a connection, for goroutines that want to close it.
const (
	phaseParked    = iota // between requests, waiting for bytes
	phaseAnswering        // a response is being made or written
	phaseClosing          // the same, and the connection must be closed afterwards
	phaseTaken            // net/http has a request, or the connection
	phaseLingering        // net/http has closed the connection, and bytes from the client are discarded
	phaseClosed
)

func (c *Conn) wire() *Conn { return c }

// Plain returns c in the form that net/http needs for a connection over TCP.
func (c *Conn) Plain() net.Conn {
	for nc := c.raw; ; {
		if tcp, ok := nc.(tcpAbilities); ok {
			return &tcpConn{c, tcp}
		}
		below, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		nc = below.NetConn()
	}
}

// TLS returns c in the form that net/http needs for a TLS connection. conn is the TLS connection
// after its handshake, and runs over c.
func (c *Conn) TLS(conn *tls.Conn) net.Conn {
	c.peer.TLS = true
	return &tlsConn{c, conn}
}

// tcpConn adds the method that net/http looks for in addition to net.Conn: closing one direction.
// It has no ReadFrom, which would let the kernel copy from files: nothing is served from files, and
// the time of such writes would not be limited.
type tcpConn struct {
	*Conn
	tcp tcpAbilities
}

type tcpAbilities interface{ CloseWrite() error }

// CloseWrite closes the sending direction. net/http calls it before it closes a connection on which
// more bytes may arrive.
func (c *tcpConn) CloseWrite() error {
	if c.linger() {
		return nil
	}
	return c.tcp.CloseWrite()
}

// tlsConn gives net/http access to the TLS connection.
type tlsConn struct {
	*Conn
	tls *tls.Conn
}

// ConnectionState is the source of net/http's Request.TLS.
func (c *tlsConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// CloseWrite closes the sending direction, as for a tcpConn.
func (c *tlsConn) CloseWrite() error {
	if c.linger() {
		return nil
	}
	return c.tls.CloseWrite()
}

// Write writes to the client.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.raw.Write(p)
	if at := c.sends.Load(); at != 0 && n > 0 {
		c.sends.CompareAndSwap(at, time.Now().UnixNano()) // the client makes progress by receiving
	}
	return n, err
}

// Read returns the bytes that net/http must handle.
func (c *Conn) Read(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case c.mode == between:
		return c.answerRequests(p)
	case c.mode == finished:
		return 0, io.EOF
	case c.phase.Load() == phaseLingering:
		return 0, net.ErrClosed
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	switch {
	case c.phase.Load() == phaseLingering:
		return 0, net.ErrClosed
	case c.mode == handedOver:
		if len(p) == 1 {
			return c.take(p) // net/http checks whether the client is still connected
		}
		return c.receive(p)
	case c.left > 0:
		n, err := c.receive(p[:min(int64(len(p)), c.left)])
		c.left -= int64(n)
		c.account()
		return n, err
	case c.chunks.open():
		n, err := c.takeChunks(p)
		c.account()
		return n, err
	}
	return c.await(p)
}

// follow records that net/http has received the first n bytes of a request, or its head if that is
// shorter. It returns the number of these bytes.
func (c *Conn) follow(size extent, n int) int {
	whole := int64(size.head) + size.length
	n = int(min(int64(n), whole))
	c.mode, c.left, c.chunks = inFlight, whole-int64(n), chunks{}
	if size.chunked {
		c.chunks.begin()
	}
	return n
}

// takeChunks reads more of a chunked body. If the body is malformed, no further byte of the
// connection is read.
func (c *Conn) takeChunks(p []byte) (int, error) {
	if c.chunks.broken() && len(c.kept) == 0 {
		return 0, io.EOF
	}
	n, err := c.receive(p)
	k, ok := c.chunks.follow(p[:n])
	switch {
	case !ok:
		c.kept = malformed
		if k == 0 {
			return c.take(p)
		}
	case k < n:
		c.kept = append(slices.Clone(p[k:n]), c.kept...)
	}
	return k, err
}

// receive reads bytes of the request in flight. Meanwhile the connection counts as waiting for its
// client.
func (c *Conn) receive(p []byte) (int, error) {
	c.sends.Store(time.Now().UnixNano())
	defer c.sends.Store(0)
	return c.take(p)
}

// take reads kept bytes, or else from the socket.
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

// await serves net/http's check whether the client is still connected while its request is
// answered. If a byte of the next request arrives, the client is connected, but net/http must not
// get the byte yet. await then waits until it is interrupted, as net/http's own wait is.
func (c *Conn) await(p []byte) (int, error) {
	if len(c.kept) == 0 {
		n, err := c.raw.Read(p[:1])
		if n == 0 {
			return 0, err
		}
		c.kept = append([]byte(nil), p[0])
		c.account()
	}
	c.untilInterrupted()
	return 0, os.ErrDeadlineExceeded
}

// idle is called when the response to the request in flight is complete.
func (c *Conn) idle() {
	if c.mode != inFlight {
		c.rest.Store(time.Now().UnixNano())
		return
	}
	// If net/http has not read the whole request, the rest must not be taken for the next one.
	if c.last || c.left > 0 || c.chunks.open() {
		c.mode = finished
		_ = c.Close() // the connection is lost either way
		return
	}
	c.mode, c.handed, c.later = between, Handed{}, true
	c.quiet.Store(time.Now().UnixNano())
	c.phase.CompareAndSwap(phaseTaken, phaseParked)
}

// stepAside gives the connection to net/http's handler for good.
func (c *Conn) stepAside() {
	c.mode = handedOver
	c.foreign.Store(true)
}

// Close closes the connection. If a response is being written, Close lets it finish, because to
// net/http such a connection looks idle. If the client may still be sending, the connection stays
// open for a while, so that the client can read its response (see drain). A caller that can't wait
// must close the underlying connection.
func (c *Conn) Close() error {
	if c.phase.CompareAndSwap(phaseAnswering, phaseClosing) || c.phase.Load() == phaseClosing || c.linger() {
		return nil
	}
	return c.shut()
}

func (c *Conn) shut() error {
	c.phase.Store(phaseClosed)
	c.interrupt()
	return c.Conn.Close()
}

// CloseIdle closes c if no request is in flight and some were answered here, which net/http does
// not know about. If a response is being written, c is closed afterwards. CloseIdle reports true
// and leaves c open if unread bytes have arrived: the client may have sent a request before it
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

// waiting lets another goroutine interrupt await.
type waiting struct {
	mu     sync.Mutex
	cond   *sync.Cond // nil if no goroutine waits
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
