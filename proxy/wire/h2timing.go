package wire

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// h2Timing is what is known of a connection's deadlines, which are all set here: net/http has timers of its own for streams, and sets none. As with
// HTTP/1.1, a deadline that comes too early is looked at again, for it costs less than to set it each time.
type h2Timing struct {
	active    time.Time    // when something was answered here last, or else the connection began
	busy      atomic.Bool  // net/http has streams
	idleSince atomic.Int64 // when it had none any more, in Unix nanoseconds
	armed     int64        // the read deadline that is set, likewise; 0: none
	written   writeDeadline
	leaving   bool // the client was idle for too long
	// wanting says that net/http is short of window. The read deadline is in the past then.
	wanting atomic.Bool
}

// SetDeadline does nothing: see [h2Timing].
func (c *h2Conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing: see [h2Timing].
func (c *h2Conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: see [h2Timing].
func (c *h2Conn) SetWriteDeadline(time.Time) error { return nil }

// idleDue is when the connection has been idle for too long, zero for never.
func (c *h2Conn) idleDue() time.Time {
	if c.server.Idle <= 0 || c.leaving {
		return time.Time{}
	}
	since := c.active
	if c.busy.Load() {
		since = time.Now()
	} else if t := time.Unix(0, c.idleSince.Load()); t.After(since) {
		since = t
	}
	return since.Add(c.server.Idle)
}

// expect sets when the wait that begins is looked at again.
func (c *h2Conn) expect() error {
	due := stamp(c.idleDue())
	if due == c.armed || c.armed != 0 && c.armed < due {
		return nil
	}
	return c.arm(due)
}

func (c *h2Conn) arm(due int64) error {
	c.armed = due
	if due == 0 {
		return c.Conn.SetReadDeadline(time.Time{})
	}
	return c.Conn.SetReadDeadline(time.Unix(0, due))
}

// idle reports whether a failed read means that the connection has been idle for too long. It is said once.
func (c *h2Conn) idle(err error) bool {
	if c.leaving || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	due := c.idleDue()
	c.leaving = !due.IsZero() && time.Until(due) <= 0
	return c.leaving
}

// overdue tells what a failed read means: nil, if it only was the deadline, which came too early.
func (c *h2Conn) overdue(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	due := c.idleDue()
	if !due.IsZero() && time.Until(due) <= 0 {
		return err // in the middle of a frame
	}
	return c.arm(stamp(due))
}

// wake has the reader look at what net/http wants. Whether it waits already or is about to, it learns of it: it looks after it has set its own deadline.
func (c *h2Conn) wake() {
	if !c.wanting.Swap(true) {
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0)) // where this fails, so does reading
	}
}
