package upstream

import (
	"errors"
	"os"
	"time"
)

var errFirstByte = errors.New("no response came in time (timeouts.first_byte)")

// await1st begins the wait for the response: all of the request is sent.
func (t *trip) await1st(now time.Time) {
	bound := t.pool.config.Timeouts.FirstByte
	if bound <= 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.receiving {
		return
	}
	t.awaitBy = now.Add(bound)
	t.line.arm(t.awaitBy) // whoever reads already is woken in time
}

// Read reads from the line within the bounds of the phase. It is the source of reader.
func (t *trip) Read(p []byte) (int, error) {
	var idle time.Time
	if bound := t.pool.config.Timeouts.Idle; t.receiving && bound > 0 {
		idle = time.Now().Add(bound)
	}
	t.mu.Lock()
	t.line.arm(t.bound(idle))
	t.mu.Unlock()
	for {
		n, err := t.read(p)
		switch {
		case n > 0:
			t.note()
			return n, nil
		case err == nil || !errors.Is(err, os.ErrDeadlineExceeded):
			return n, err
		}
		if err := t.late(time.Now(), idle); err != nil {
			return 0, err
		}
	}
}

// read is a read of the line, the first of which asks.
func (t *trip) read(p []byte) (int, error) {
	if t.asking == nil {
		return t.line.Conn.Read(p)
	}
	wrote, n, err := t.line.look.ask(t.asking, p)
	switch rest := t.asking[wrote:]; {
	case err == errEarly:
		return 0, t.refused()
	case err != nil && wrote == 0:
		return 0, err
	case len(rest) > 0:
		t.asking = nil
		if err := t.line.send(rest); err != nil {
			return 0, err
		}
		return t.line.Conn.Read(p)
	}
	t.asking = nil
	return n, err
}

// bound is when the read that is under way must be over; zero: never.
func (t *trip) bound(idle time.Time) time.Time {
	by := t.total
	for _, b := range [...]time.Time{idle, t.awaitBy} {
		if !b.IsZero() && (by.IsZero() || b.Before(by)) {
			by = b
		}
	}
	return by
}

// late is what a read that ran into the deadline fails with; nil where that was not its own, which is then armed.
func (t *trip) late(now, idle time.Time) error {
	past := func(by time.Time) bool { return !by.IsZero() && !now.Before(by) }
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case past(t.total):
		return &Error{Kind: ResponseTimeout, Target: t.target.name, Err: errTotal}
	case past(t.awaitBy):
		return &Error{Kind: ResponseTimeout, Target: t.target.name, Err: errFirstByte}
	case past(idle):
		return &Error{Kind: ReadTimeout, Target: t.target.name, Err: errIdle}
	}
	t.line.rearm(t.bound(idle))
	return nil
}

// note keeps, of the first bytes of a response, whether the request was sent before them: see sending.
func (t *trip) note() {
	t.heard = true
	if !t.sampled {
		t.sampled, t.complete = true, t.sending == nil || t.sending.last.Load()
	}
}
