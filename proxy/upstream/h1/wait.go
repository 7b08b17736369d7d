package h1

import (
	"errors"
	"os"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
)

// expectResponse begins the wait for the response: all of the request is sent.
func (t *attempt) expectResponse(now time.Time) {
	bound := t.bounds.FirstByte
	if bound <= 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.receiving {
		return
	}
	t.headBy = now.Add(bound)
	t.conn.readBy(t.headBy) // if a read is under way, it wakes in time
}

// Read reads from the connection within the bounds of the phase. It is the source of reader.
func (t *attempt) Read(p []byte) (int, error) {
	var idle time.Time
	if bound := t.bounds.Idle; t.receiving && bound > 0 {
		idle = time.Now().Add(bound)
	}
	t.mu.Lock()
	t.conn.readBy(t.readDeadline(idle))
	t.mu.Unlock()
	for {
		n, err := t.read(p)
		switch {
		case n > 0:
			t.noteBytes()
			return n, nil
		case err == nil || !errors.Is(err, os.ErrDeadlineExceeded):
			return n, err
		}
		if err := t.overdueError(time.Now(), idle); err != nil {
			return 0, err
		}
	}
}

// read reads from the connection. The first read also writes the request.
func (t *attempt) read(p []byte) (int, error) {
	switch {
	case t.unwritten == nil && t.body != nil && !t.noted && t.conn.probe.CanWrite():
		return t.conn.probe.ReadUnder(&t.body.order, p, t.took)
	case t.unwritten == nil:
		return t.conn.Conn.Read(p)
	}
	wrote, n, err := t.conn.probe.WriteThenRead(t.unwritten, p)
	switch rest := t.unwritten[wrote:]; {
	case err == fault.ErrEarly:
		return 0, t.refused()
	case err != nil && wrote == 0:
		return 0, err
	case len(rest) > 0:
		t.unwritten = nil
		if err := t.conn.write(rest); err != nil {
			return 0, err
		}
		return t.conn.Conn.Read(p)
	}
	t.unwritten = nil
	return n, err
}

// readDeadline is when the read that is under way must be over; zero: never.
func (t *attempt) readDeadline(idle time.Time) time.Time {
	by := t.total
	for _, b := range [...]time.Time{idle, t.headBy} {
		if !b.IsZero() && (by.IsZero() || b.Before(by)) {
			by = b
		}
	}
	return by
}

// overdueError is the error of a read that ran into the deadline. If the deadline was not its own,
// it returns nil and sets the right one.
func (t *attempt) overdueError(now, idle time.Time) error {
	past := func(by time.Time) bool { return !by.IsZero() && !now.Before(by) }
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case past(t.total):
		return &fault.Error{Kind: fault.ResponseTimeout, Target: t.sender.Target.Name, Err: fault.ErrTotal}
	case past(t.headBy):
		return &fault.Error{Kind: fault.ResponseTimeout, Target: t.sender.Target.Name, Err: fault.ErrFirstByte}
	case past(idle):
		return &fault.Error{Kind: fault.ReadTimeout, Target: t.sender.Target.Name, Err: fault.ErrIdle}
	}
	t.conn.setReadDeadline(t.readDeadline(idle))
	return nil
}

// took is noteBytes for bytes that were taken under the lock of the request's body. all is true if
// no more bytes had arrived.
func (t *attempt) took(all bool) {
	t.answerBegun, t.noted, t.complete = true, true, t.body.inTime(all)
}

// noteBytes notes, when the first bytes of a response arrive, whether the request had been sent
// before: see requestBody.
func (t *attempt) noteBytes() {
	t.answerBegun = true
	if !t.noted {
		t.noted, t.complete = true, t.body == nil || t.body.last.Load()
	}
}
