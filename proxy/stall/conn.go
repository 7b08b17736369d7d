package stall

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// Err is the error of a write to a stalled peer. It is an os.ErrDeadlineExceeded.
var Err error = &stalled{}

type stalled struct{}

func (*stalled) Error() string   { return "the peer has accepted no data for too long" }
func (*stalled) Timeout() bool   { return true }
func (*stalled) Temporary() bool { return false }
func (*stalled) Unwrap() error   { return os.ErrDeadlineExceeded }

// Bound bounds the waits of the writes to one connection. Only one goroutine may write at a time.
type Bound struct {
	limit time.Duration // 0: no bound
	until atomic.Int64  // the owner's write deadline in Unix nanoseconds; 0: no deadline
	armed atomic.Int64  // the deadline set on the connection, in Unix nanoseconds
	dead  atomic.Bool   // a write has stalled
}

// Limit sets the bound. 0 means no bound. It must be called before the first write.
func (b *Bound) Limit(limit time.Duration) { b.limit = limit }

// Write writes all of p to c.
func (b *Bound) Write(c net.Conn, p []byte) (int, error) {
	if b.limit <= 0 {
		return c.Write(p)
	}
	if b.dead.Load() {
		return 0, Err
	}
	begun := time.Now()
	b.Arm(c, begun)
	n, err := c.Write(p)
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	return b.Insist(c, begun, n, err, func() (int, error) {
		k, err := c.Write(p[n:])
		n += k
		return n, err
	})
}

// Limited reports whether there is a bound.
func (b *Bound) Limited() bool { return b.limit > 0 }

// Dead reports whether a write has stalled.
func (b *Bound) Dead() bool { return b.dead.Load() }

// Arm ensures that a write which begins to wait at now is checked in time. It moves the deadline
// only if less than one interval is left, so that not every write pays for it.
func (b *Bound) Arm(c net.Conn, now time.Time) {
	if b.armed.Load() < now.Add(Interval(b.limit)).UnixNano() {
		_ = b.arm(c, now) // fails only on a closed connection, and then the write fails too
	}
}

// Insist continues a write that began to wait at begun and that a deadline interrupted with err
// after n bytes. It continues until the write is complete, the peer has stalled, or the owner's
// deadline has passed. more continues writing and returns the number of bytes written so far.
func (b *Bound) Insist(c net.Conn, begun time.Time, n int, err error, more func() (int, error)) (int, error) {
	gauge := Start(b.limit, begun)
	for errors.Is(err, os.ErrDeadlineExceeded) {
		now := time.Now()
		switch {
		case b.expired(now):
			return n, err
		case gauge.Stalled(now, n, Queued(c)):
			b.dead.Store(true)
			Discard(c)
			return n, fmt.Errorf("write: %w", Err)
		}
		if err := b.set(c, gauge.Next(now)); err != nil {
			return n, err
		}
		n, err = more()
	}
	return n, err
}

// SetWriteDeadline sets the deadline of c's owner.
func (b *Bound) SetWriteDeadline(c net.Conn, t time.Time) error {
	if b.limit <= 0 {
		return c.SetWriteDeadline(t)
	}
	if t.IsZero() {
		b.until.Store(0)
	} else {
		b.until.Store(t.UnixNano())
	}
	return b.arm(c, time.Now())
}

// expired reports whether the owner's deadline has passed.
func (b *Bound) expired(now time.Time) bool {
	until := b.until.Load()
	return until != 0 && until <= now.UnixNano()
}

// arm sets a deadline two intervals from now.
func (b *Bound) arm(c net.Conn, now time.Time) error { return b.set(c, now.Add(2*Interval(b.limit))) }

// set sets the deadline to t, or to the owner's if that is earlier.
func (b *Bound) set(c net.Conn, t time.Time) error {
	if until := b.until.Load(); until != 0 && until < t.UnixNano() {
		t = time.Unix(0, until)
	}
	b.armed.Store(t.UnixNano())
	return c.SetWriteDeadline(t)
}

// Conn is a connection whose writes fail if its peer accepts no data for the limit.
type Conn struct {
	net.Conn
	bound Bound
}

// New bounds the writes to c. A limit of 0 means no bound.
func New(c net.Conn, limit time.Duration) *Conn {
	out := &Conn{Conn: c}
	out.bound.Limit(limit)
	return out
}

// Write writes all of p.
func (c *Conn) Write(p []byte) (int, error) { return c.bound.Write(c.Conn, p) }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.Conn.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetWriteDeadline sets a write deadline in addition to the limit.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.bound.SetWriteDeadline(c.Conn, t) }

// CloseWrite closes the sending direction.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// NetConn returns the underlying connection.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Discard makes the kernel drop unacknowledged data when c is closed. Otherwise the kernel would
// keep it for minutes.
func Discard(c net.Conn) {
	if tcp, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0) // a closed connection has no data to drop
	}
}
