package h1

import (
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/upstream/link"
)

// connection is an HTTP/1.1 connection to a target. One attempt uses it at a time.
type connection struct {
	*link.Conn
	reused    bool      // it was open and idle before this attempt
	idleSince time.Time // when it became idle
	sentBody  bool      // its last request had one
	deadline  time.Time // the read deadline that is set, which may have passed; zero if it is not set
	probe     link.Look
	kill      func() // closes the connection
}

func newConnection(c *link.Conn) *connection {
	l := &connection{Conn: c, reused: c.DialledAhead}
	l.probe.At(c.Probe)
	l.kill = func() { _ = l.Close() } // the reader reports the error that matters
	return l
}

// ready reports whether the connection is open and holds no bytes. Bytes that arrive before a
// request answer no request.
func (l *connection) ready() bool { return l.probe.Silent() }

// restTime is how long a connection rests after a request with a body. If a target answers without
// reading the body, it takes the body for further requests. Its answers to those arrive during the
// rest and give it away.
const restTime = time.Millisecond

// rest is the remaining rest of the connection.
func (l *connection) rest(now time.Time) time.Duration {
	if !l.sentBody {
		return 0
	}
	return restTime - now.Sub(l.idleSince)
}

// write writes p within the bound of a write.
func (l *connection) write(p []byte) error {
	if l.WriteTimeout > 0 {
		l.ExtendWriteDeadline(time.Now())
	}
	_, err := l.Conn.Write(p)
	return err
}

// readBy makes a read return at the given time or before; zero is never. If an earlier deadline is
// set, it stays: most reads end long before, and moving the deadline costs more than the read. If a
// reader wakes at a deadline that is not its own, it sets its own.
func (l *connection) readBy(by time.Time) {
	if by.IsZero() || !l.deadline.IsZero() && !l.deadline.After(by) {
		return
	}
	l.setReadDeadline(by)
}

func (l *connection) setReadDeadline(by time.Time) {
	l.deadline = by
	_ = l.SetReadDeadline(by) // it fails on a closed connection alone, which the read will say
}

const (
	sweepEvery = time.Second
	maxIdle    = 1024 // idle connections that are kept for a target without a limit of its own
)

// Idle holds the idle connections to one target, the longest unused first. It looks at them every
// second and closes a connection if the target has closed it, if the target has sent bytes unasked,
// or if it was idle for too long. A goroutine that reads from each connection would cost every
// request two changes of goroutine.
type Idle struct {
	timeout time.Duration
	max     int

	mu     sync.Mutex
	idle   []*connection
	timer  *time.Timer // runs while there are idle connections
	closed bool
}

// NewIdle makes a pool of at most limit idle connections, or of maxIdle if limit is 0. A connection
// is closed after it was idle for keep.
func NewIdle(keep time.Duration, limit int) *Idle {
	if limit == 0 {
		limit = maxIdle
	}
	return &Idle{timeout: keep, max: limit}
}

// youngFor is the longest idle time of a connection that gets a request which must not be sent
// twice. A target closes idle connections after some seconds, and the notice may be on its way when
// the request is sent. A connection that was just used is not about to be closed for idleness.
const youngFor = time.Second

// take returns the connection that was used last and has rested. If all still rest, it returns the
// last one, and if there are no connections, nil. The connection may be dead. If again is false,
// take returns it only if it is young.
func (s *Idle) take(now time.Time, again bool) *connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) == 0 {
		return nil
	}
	i := len(s.idle) - 1
	for j := i; j >= 0; j-- {
		if s.idle[j].rest(now) <= 0 {
			i = j
			break
		}
	}
	l := s.idle[i]
	if !again && now.Sub(l.idleSince) > youngFor {
		return nil
	}
	s.idle = slices.Delete(s.idle, i, i+1)
	l.reused = true
	return l
}

// put keeps l for the next attempt, or closes it. body is true if l's last request had a body.
func (s *Idle) put(l *connection, body bool, now time.Time) {
	if !s.add(l, body, now) {
		l.kill()
	}
}

func (s *Idle) add(l *connection, body bool, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.idle) >= s.max {
		return false
	}
	l.sentBody, l.idleSince = body, now
	s.idle = append(s.idle, l)
	if s.timer == nil {
		s.timer = time.AfterFunc(sweepEvery, s.sweep)
	}
	return true
}

// sweep prunes, as long as there is something to prune.
func (s *Idle) sweep() {
	s.prune(time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) > 0 && !s.closed {
		s.timer.Reset(sweepEvery)
		return
	}
	s.timer = nil
}

// prune closes the connections that must not be used again.
func (s *Idle) prune(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.idle[:0]
	for _, l := range s.idle {
		if now.Sub(l.idleSince) < s.timeout && l.ready() {
			kept = append(kept, l)
			continue
		}
		l.kill()
	}
	clear(s.idle[len(kept):])
	s.idle = kept
}

// Count is the number of idle connections, and how many of them can be used.
func (s *Idle) Count() (all, usable int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.idle {
		if l.ready() {
			usable++
		}
	}
	return len(s.idle), usable
}

// Close closes the idle connections. Connections that are returned later are closed too.
func (s *Idle) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, l := range s.idle {
		l.kill()
	}
	s.idle = nil
	if s.timer != nil {
		s.timer.Stop() // if it has fired, it finds no connections
	}
}
