package wire

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// timing is what is known of a connection's deadlines.
//
// What a request answered here changes is only when waiting for the next one is over. To set the socket's deadline each time would cost more than the
// rest of it: one that comes too early is looked at again, and then set to the right time.
type timing struct {
	armed   atomic.Int64 // the read deadline that the socket has, in Unix nanoseconds; 0: none
	written writeDeadline
	due     time.Time    // when waiting is over, if that is ours to say; zero: never
	ours    bool         // it is: requests were answered since net/http set a deadline
	headDue time.Time    // when a head that has begun must be complete; zero: none has begun
	opened  time.Time    // when net/http began to wait for the first request
	later   bool         // it has had a first request
	shift   atomic.Int64 // how much later than net/http believes the first request that it gets has begun; taken off once
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline is for net/http, and interrupts what waits for the client to go.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if late := c.shift.Swap(0); late != 0 && !t.IsZero() {
		t = t.Add(time.Duration(late))
	}
	past := !t.IsZero() && time.Until(t) <= 0
	c.setSignal(past || c.phase.Load() == phaseClosed)
	return c.arm(t)
}

// SetWriteDeadline is for net/http.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.written.set(c.raw, t)
}

func (c *Conn) arm(t time.Time) error {
	c.armed.Store(stamp(t))
	return c.raw.SetReadDeadline(t)
}

// stamp is t in Unix nanoseconds, 0 for no time.
func stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// after is the time a timeout later, none if the timeout is none.
func after(now time.Time, timeout time.Duration) time.Time {
	if timeout <= 0 {
		return time.Time{}
	}
	return now.Add(timeout)
}

// expect sets when the wait that begins is over; begun says that a part of a head is there. The first head has the time that net/http has
// given it when the connection was opened.
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
		return nil // what is too early is looked at again
	}
	return c.arm(c.due)
}

// fresh reports whether no request has come yet.
func (c *Conn) fresh() bool { return !c.later && !c.used.Load() }

// overdue tells what a failed read means: nil, if it only was the deadline, which came too early.
func (c *Conn) overdue(err error) error {
	if !c.ours || !errors.Is(err, os.ErrDeadlineExceeded) || !c.due.IsZero() && time.Until(c.due) <= 0 {
		return err
	}
	return c.arm(c.due)
}

// answered takes note that requests were answered at now.
func (c *Conn) answered(now time.Time) {
	c.due, c.ours = after(now, c.server.Idle), true
	if !c.used.Load() {
		c.used.Store(true)
	}
}

// given takes note that net/http gets a request: from here on it sets the deadlines. It believes that its first request began when it began to
// wait for it, and counts ReadTimeout from then.
func (c *Conn) given() {
	if !c.later && c.used.Load() && !c.opened.IsZero() {
		c.shift.Store(int64(time.Since(c.opened)))
	}
	c.later, c.ours, c.headDue = true, false, time.Time{}
}

// writeDeadline is that of a connection, in Unix nanoseconds; 0: none.
type writeDeadline struct{ at atomic.Int64 }

func (d *writeDeadline) set(c net.Conn, t time.Time) error {
	d.at.Store(stamp(t))
	return c.SetWriteDeadline(t)
}

// bound sees to it that a write to c that begins at now has the time it may take, and at most a quarter more: the deadline is not set each time.
func (d *writeDeadline) bound(c net.Conn, now time.Time, timeout time.Duration) error {
	if timeout <= 0 || d.at.Load() >= now.Add(timeout).UnixNano() {
		return nil
	}
	return d.set(c, now.Add(timeout+timeout/4))
}
