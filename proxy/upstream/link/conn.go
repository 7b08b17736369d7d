package link

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
)

// Conn is a TCP connection to a target. It bounds each write and is counted.
//
// Where net/http's Transport speaks HTTP/1.1 over it, which is over TLS alone, it can tell whether
// a response's first byte came after its request: bytes that a target sent too early, or after the
// end of its last response, would otherwise be taken for the answer to the next request. It takes
// no request after one whose answer came too early, see handover.
type Conn struct {
	net.Conn
	open         *atomic.Int64 // the target's count of open connections
	closed       atomic.Bool
	Ended        atomic.Bool // the target has ended its side; over TLS the transport sees that only if no closing alert came before
	DialledAhead bool        // dialled in advance
	state        atomic.Uint32
	owner        atomic.Pointer[Turn] // whose turn it is; nil: no request uses the connection
	Overlap      Overlap
	WriteTimeout time.Duration // bound of a write; 0: no bound
	until        time.Time     // the write deadline that is set; only the writer reads and writes it
	Probe        Probe
	Settled      func() // called once the target's SETTINGS have come; nil: nothing waits for them. Only the writer reads and writes it
	writes       int    // since settled was set
}

// Turn is one request's use of an HTTP/1.1 connection by net/http. Its address tells it from
// others.
type Turn struct{ _ byte }

// The turns of an HTTP/1.1 connection.
const (
	turnNone    uint32 = iota // no request yet
	turnIdle                  // a request has taken the connection and nothing of it is written yet
	turnAsked                 // some of the request is written
	turnHeard                 // something was read since then
	turnRefused               // nothing of the request is written, nor will be
)

func newConn(c net.Conn, open *atomic.Int64, stall time.Duration) *Conn {
	open.Add(1)
	return &Conn{Conn: c, open: open, WriteTimeout: stall, Probe: newProbe(c)}
}

// Take begins the turn of a request. Until it is called nothing is looked for: over HTTP/2 there
// are no turns.
func (c *Conn) Take(t *Turn, body bool) {
	c.owner.Store(t)
	if !c.Overlap.begin(body) {
		c.refuse()
		return
	}
	c.state.Store(turnIdle)
}

// refuse makes every write of this turn fail before a byte has left.
func (c *Conn) refuse() {
	c.Overlap.Forbid()
	c.state.Store(turnRefused)
	_ = c.Close() // the error that matters is fault.ErrEarly
}

// Refused reports whether the connection takes nothing of this turn's request.
func (c *Conn) Refused() bool { return c.state.Load() == turnRefused }

// Release ends t. By then the next one may have begun.
func (c *Conn) Release(t *Turn) {
	if c.owner.CompareAndSwap(t, nil) && c.Overlap.closed() {
		_ = c.Close() // no further request may use it
	}
}

// Answered reports whether anything was read since the request began to be written. Where it is
// false when the first byte of a response is seen, that byte was there before the request.
func (c *Conn) Answered() bool { return c.state.Load() == turnHeard }

// Read reads from the connection.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p) // bytes that arrive between this read and the next line look like an answer
	if n > 0 {
		c.state.CompareAndSwap(turnAsked, turnHeard)
		c.Overlap.read()
	}
	if err == io.EOF {
		c.Ended.Store(true)
	}
	return n, err
}

// Write writes to the connection, unless it refuses this turn's request.
func (c *Conn) Write(p []byte) (int, error) {
	c.state.CompareAndSwap(turnIdle, turnAsked)
	if c.Refused() {
		return 0, fault.ErrEarly
	}
	c.Overlap.write()
	if c.Settled != nil {
		c.settle()
	}
	if c.WriteTimeout > 0 {
		c.ExtendWriteDeadline(time.Now())
	}
	return c.Conn.Write(p)
}

// settle counts the first writes over HTTP/2. The first one is the client's preface. No request is
// sent before the target's SETTINGS have come, so that the second one is their acknowledgement.
func (c *Conn) settle() {
	if c.writes++; c.writes == 2 {
		c.Settled()
		c.Settled = nil
	}
}

// ExtendWriteDeadline moves the write deadline if less than the bound is left. It adds half of the
// bound, so that few writes pay for a timer.
func (c *Conn) ExtendWriteDeadline(now time.Time) {
	if c.until.Sub(now) >= c.WriteTimeout {
		return
	}
	c.until = now.Add(c.WriteTimeout + c.WriteTimeout/2)
	// An error here says that the connection is closed, which the write itself will say.
	_ = c.Conn.SetWriteDeadline(c.until)
}

// Close closes the connection, which counts as open until then.
func (c *Conn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

// CloseWrite closes the sending direction only. Upgraded connections need that.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// HTTP1 finds the Conn of a connection that carries HTTP/1.1. It is nil for HTTP/2, where streams
// share a connection.
func HTTP1(nc net.Conn) *Conn {
	if secure, ok := nc.(*tls.Conn); ok && secure.ConnectionState().NegotiatedProtocol == "h2" {
		return nil
	}
	return Raw(nc)
}
