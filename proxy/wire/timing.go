package wire

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/stall"
)

// timing holds the deadlines of a connection.
//
// A request that is answered here only changes the end of the wait for the next one. Setting the
// socket's deadline for each request would cost more than the rest of the request. So the deadline
// may fire too early; the connection then checks the time and sets the right deadline.
type timing struct {
	armed   atomic.Int64 // the socket's read deadline in Unix nanoseconds, or 0
	written writeDeadline
	due     time.Time    // end of the wait, if ours is true; zero: never
	ours    bool         // true if requests were answered here since net/http set a deadline
	headDue time.Time    // when a partial head must be complete; zero if no head has begun
	opened  time.Time    // when net/http began to wait for the first request
	later   bool         // true after the first request
	shift   atomic.Int64 // correction of net/http's start time of its first request, applied once
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline is called by net/http. It also interrupts await.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if late := c.shift.Swap(0); late != 0 && !t.IsZero() {
		t = t.Add(time.Duration(late))
	}
	past := !t.IsZero() && time.Until(t) <= 0
	c.setSignal(past || c.phase.Load() == phaseClosed)
	return c.arm(t)
}

// SetWriteDeadline is called by net/http.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.written.set(c.raw, t)
}

func (c *Conn) arm(t time.Time) error {
	c.armed.Store(stamp(t))
	return c.raw.SetReadDeadline(t)
}

// stamp returns t in Unix nanoseconds, or 0 if t is zero.
func stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// after returns now plus the timeout, or the zero time if the timeout is 0.
func after(now time.Time, timeout time.Duration) time.Time {
	if timeout <= 0 {
		return time.Time{}
	}
	return now.Add(timeout)
}

// expect sets the end of the wait that begins. begun is true if a part of a head has arrived. The
// first head has the time that net/http set when the connection was opened.
func (c *Conn) expect(begun bool) error {
	switch {
	case !begun:
		c.headDue = time.Time{}
	case c.headDue.IsZero() && !c.fresh():
		c.headDue = after(time.Now(), c.server.ReadHeader)
		c.due, c.ours = c.headDue, true
	}
	if !c.ours {
		return nil
	}
	armed, due := c.armed.Load(), stamp(c.due)
	if due == armed || armed != 0 && armed < due {
		return nil // if the deadline is too early, overdue corrects it
	}
	return c.arm(c.due)
}

// fresh reports whether no request has arrived yet.
func (c *Conn) fresh() bool { return !c.later && !c.used.Load() }

// overdue interprets a failed read. It returns nil if the deadline was merely too early.
func (c *Conn) overdue(err error) error {
	if !c.ours || !errors.Is(err, os.ErrDeadlineExceeded) || !c.due.IsZero() && time.Until(c.due) <= 0 {
		return err
	}
	return c.arm(c.due)
}

// answered records that requests were answered at now.
func (c *Conn) answered(now time.Time) {
	c.due, c.ours = after(now, c.server.Idle), true
	c.quiet.Store(now.UnixNano())
	if !c.used.Load() {
		c.used.Store(true)
	}
}

// given records that net/http gets a request, and sets the deadlines from here on. net/http
// measures ReadTimeout of its first request from the time at which it began to wait, so shift
// corrects that.
func (c *Conn) given() {
	if c.server.whole && !c.later && c.used.Load() && !c.opened.IsZero() {
		c.shift.Store(int64(time.Since(c.opened)))
	}
	c.later, c.ours, c.headDue = true, false, time.Time{}
}

// writeDeadline is the write deadline of a connection in Unix nanoseconds, or 0.
type writeDeadline struct{ at atomic.Int64 }

func (d *writeDeadline) set(c net.Conn, t time.Time) error {
	d.at.Store(stamp(t))
	return c.SetWriteDeadline(t)
}

// bound makes sure that a write to c that begins at now has at least the timeout and at most a
// quarter more. So the deadline need not be set for each write.
func (d *writeDeadline) bound(c net.Conn, now time.Time, timeout time.Duration) error {
	if timeout <= 0 || d.at.Load() >= now.Add(timeout).UnixNano() {
		return nil
	}
	return d.set(c, now.Add(timeout+timeout/4))
}

// Idler is a client's connection that can be evicted to make room for another.
type Idler interface {
	// IdleSince returns the time since which no request is in flight, in Unix nanoseconds, or 0 if
	// there is one.
	IdleSince() int64
	// StillSince returns the time since which all requests in flight wait for a client that makes
	// no progress, in Unix nanoseconds, or 0 if that is not so.
	StillSince(now time.Time) int64
	// EndIdle ends the connection now or soon, unless a request has arrived or its client makes
	// progress.
	EndIdle()
}

// resting holds the idle times of an HTTP/1.1 connection.
type resting struct {
	quiet atomic.Int64 // start of the time between requests, in Unix nanoseconds
	rest  atomic.Int64 // start of the idle time if net/http has the connection for good, or 0
	// Time since which net/http waits for bytes of a request in flight, in Unix nanoseconds, or 0.
	sends atomic.Int64
	over  atomic.Pointer[h2Conn] // the HTTP/2 connection that took over, or nil for HTTP/1.1
}

var _ Idler = (*Conn)(nil)

// IdleSince returns the time since which no request is in flight, in Unix nanoseconds, or 0 if
// there is one.
func (c *Conn) IdleSince() int64 {
	if h2 := c.over.Load(); h2 != nil {
		return h2.IdleSince()
	}
	switch c.phase.Load() {
	case phaseParked, phaseLingering:
		return c.quiet.Load()
	case phaseTaken:
		return c.rest.Load()
	}
	return 0
}

// StillSince returns the time since which the body of the request in flight makes no progress, or
// 0.
func (c *Conn) StillSince(now time.Time) int64 {
	if h2 := c.over.Load(); h2 != nil {
		return h2.StillSince(now)
	}
	at := c.sends.Load()
	if c.phase.Load() != phaseTaken || c.rest.Load() != 0 || c.foreign.Load() || at == 0 || now.UnixNano()-at < int64(stall.StillAfter) {
		return 0
	}
	return at
}

// EndIdle closes c unless a request has arrived.
func (c *Conn) EndIdle() {
	if h2 := c.over.Load(); h2 != nil {
		h2.EndIdle()
		return
	}
	switch c.phase.Load() {
	case phaseParked:
		if !unread(c.raw) && c.phase.CompareAndSwap(phaseParked, phaseClosed) {
			c.Conn.Close()
		}
	case phaseTaken:
		if (c.rest.Load() != 0 || c.StillSince(time.Now()) != 0) && !unread(c.raw) {
			c.Conn.Close()
		}
	case phaseLingering:
		c.cut()
	}
}

// leaveWait is the time that a client has after a GOAWAY.
const leaveWait = 250 * time.Millisecond

// evicting holds the state of an HTTP/2 connection's eviction.
type evicting struct {
	// Time of the last response from here, or of the start of the connection, in Unix nanoseconds.
	answeredAt atomic.Int64
	evicted    atomic.Int64 // time of the GOAWAY that evicts the connection, or 0
	openedAt   atomic.Int64 // time at which net/http was last given a stream, in Unix nanoseconds
	waits      stall.Waits
}

var _ Idler = (*h2Conn)(nil)

// IdleSince returns the time since which no stream is open, in Unix nanoseconds, or 0 if one is.
func (c *h2Conn) IdleSince() int64 {
	if c.busy.Load() || c.recentlyEvicted(time.Now()) {
		return 0 // an evicted client has some time to leave
	}
	return max(c.answeredAt.Load(), c.idleSince.Load())
}

// recentlyEvicted reports whether the connection was evicted less than leaveWait ago.
func (c *h2Conn) recentlyEvicted(now time.Time) bool {
	at := c.evicted.Load()
	return at != 0 && now.Sub(time.Unix(0, at)) <= leaveWait
}

// StillSince returns the time since which no request in flight makes progress in either direction,
// or 0.
func (c *h2Conn) StillSince(now time.Time) int64 {
	if !c.busy.Load() || now.UnixNano()-c.openedAt.Load() < int64(stall.StillAfter) {
		return 0
	}
	return max(c.waits.StillSince(now), c.waits.LeftSince(now))
}

// EndIdle sends a GOAWAY to the client. If the client has not left by the next call, EndIdle closes
// the connection.
func (c *h2Conn) EndIdle() {
	now := time.Now()
	switch recentlyEvicted := c.evicted.Load(); {
	case c.busy.Load():
		if c.StillSince(now) != 0 {
			c.Close()
		}
	case recentlyEvicted == 0:
		c.evicted.Store(now.UnixNano())
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0)) // if this fails, reading fails too
	case now.Sub(time.Unix(0, recentlyEvicted)) > leaveWait:
		c.Close()
	}
}
