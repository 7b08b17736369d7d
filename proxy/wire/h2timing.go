package wire

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// h2Timing holds the deadlines of a connection. They are all set here: net/http has its own
// timers for streams and sets no deadline. As with HTTP/1.1, a deadline may fire too early and is
// then corrected, which costs less than setting it for each request.
type h2Timing struct {
	active    time.Time    // time of the last response from here, or of the start of the connection
	busy      atomic.Bool  // true while net/http has streams
	idleSince atomic.Int64 // end of its last stream, in Unix nanoseconds
	armed     int64        // the current read deadline in Unix nanoseconds, or 0
	written   writeDeadline
	leaving   bool // true if the client was idle for too long
	// wanting is true if net/http is short of window. The read deadline lies in the past then.
	wanting atomic.Bool
}

// SetDeadline does nothing; see [h2Timing].
func (c *h2Conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing; see [h2Timing].
func (c *h2Conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing; see [h2Timing].
func (c *h2Conn) SetWriteDeadline(time.Time) error { return nil }

// idleDue returns the time at which the connection has been idle for too long, or zero for never.
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

// expect sets the time at which the wait that begins is checked.
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

// idle reports whether a failed read means that the connection was idle for too long. It reports
// true only once.
func (c *h2Conn) idle(err error) bool {
	if c.leaving || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	due := c.idleDue()
	c.leaving = !due.IsZero() && time.Until(due) <= 0 || c.evicted.Load() != 0 && !c.busy.Load()
	return c.leaving
}

// overdue interprets a failed read. It returns nil if the deadline was merely too early.
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

// wake makes the reader serve net/http's request for window. A reader that is about to wait also
// notices it, because it checks after it has set its own deadline.
func (c *h2Conn) wake() {
	if !c.wanting.Swap(true) {
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0)) // if this fails, reading fails too
	}
}
