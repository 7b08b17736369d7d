package upstream

import (
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// conn is a TCP connection to a target. It bounds each write and is counted.
//
// Where net/http's Transport speaks HTTP/1.1 over it, which is over TLS alone, it can tell whether a response's first byte came after its request:
// bytes that a target sent too early, or after the end of its last response, would otherwise be taken for the answer to the next request. It takes
// no request after one whose answer came too early, see handover.
type conn struct {
	net.Conn
	open     *atomic.Int64 // the target's count of open connections
	closed   atomic.Bool
	stocked  bool // dialled in advance
	turn     atomic.Uint32
	owner    atomic.Pointer[exchange] // whose turn it is, nil for nobody's
	handover handover
	stall    time.Duration // bound of a write, 0 for none
	until    time.Time     // the write deadline that is set; only the writer reads and writes it
	probe    probe
}

// The turns of an HTTP/1.1 connection.
const (
	turnNone    uint32 = iota // no request yet
	turnIdle                  // a request has taken the connection and nothing of it is written yet
	turnAsked                 // some of the request is written
	turnHeard                 // something was read since then
	turnRefused               // nothing of the request is written, nor will be
)

func newConn(c net.Conn, open *atomic.Int64, stall time.Duration) *conn {
	open.Add(1)
	return &conn{Conn: c, open: open, stall: stall, probe: newProbe(c)}
}

// take begins the turn of e's request. Until it is called nothing is looked for: over HTTP/2 there are no turns.
func (c *conn) take(e *exchange, body bool) {
	c.owner.Store(e)
	if !c.handover.begin(body) {
		c.refuse()
		return
	}
	c.turn.Store(turnIdle)
}

// refuse makes every write of this turn fail before a byte has left.
func (c *conn) refuse() {
	c.handover.forbid()
	c.turn.Store(turnRefused)
	_ = c.Close() // the error that matters is errEarly
}

func (c *conn) refused() bool { return c.turn.Load() == turnRefused }

// release ends e's turn. By then the next one may have begun.
func (c *conn) release(e *exchange) {
	if c.owner.CompareAndSwap(e, nil) && c.handover.closed() {
		_ = c.Close() // nobody is going to use it
	}
}

// answered reports whether anything was read since the request began to be written. Where it is false when the first byte of a response
// is seen, that byte was there before the request.
func (c *conn) answered() bool { return c.turn.Load() == turnHeard }

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p) // what comes between its end and the next line can't be told from an answer
	if n > 0 {
		c.turn.CompareAndSwap(turnAsked, turnHeard)
		c.handover.read()
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	c.turn.CompareAndSwap(turnIdle, turnAsked)
	if c.refused() {
		return 0, errEarly
	}
	c.handover.write()
	if c.stall > 0 {
		c.postpone(time.Now())
	}
	return c.Conn.Write(p)
}

// postpone moves the write deadline when less than the bound is left, to half as much again, so that not every write pays for a timer.
func (c *conn) postpone(now time.Time) {
	if c.until.Sub(now) >= c.stall {
		return
	}
	c.until = now.Add(c.stall + c.stall/2)
	// An error here says that the connection is closed, which the write itself will say.
	_ = c.Conn.SetWriteDeadline(c.until)
}

func (c *conn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

// CloseWrite ends the sending direction alone, which upgraded connections need.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// h1Conn finds the conn that carries an HTTP/1.1 exchange; nil for HTTP/2, whose streams share one.
func h1Conn(nc net.Conn) *conn {
	if secure, ok := nc.(*tls.Conn); ok {
		if secure.ConnectionState().NegotiatedProtocol == "h2" {
			return nil
		}
		nc = secure.NetConn()
	}
	c, _ := nc.(*conn)
	return c
}
