package upstream

import (
	"slices"
	"sync"
	"time"
)

// line is a connection to a plain target that speaks HTTP/1.1, used by one trip at a time.
type line struct {
	*conn
	kept  bool      // it was open and idle before this trip
	since time.Time // when it became idle
	body  bool      // its last request had one
	armed time.Time // the read deadline that is set, which may be past; zero: none
	look  look
	kill  func() // closes the connection
}

func newLine(c *conn) *line {
	l := &line{conn: c, kept: c.stocked}
	l.look.at(c.probe)
	l.kill = func() { _ = l.Close() } // the error that matters is the one of whoever is reading
	return l
}

// ready reports whether the connection is open and holds nothing: what is there before a request answers none.
func (l *line) ready() bool { return l.look.silent() }

// restTime is how long a line rests after a request with a body. A target that did not read the body, but answered all the same, takes it for further
// requests: when it has answered those too, it shows.
const restTime = time.Millisecond

// rest is how long the line has still to rest.
func (l *line) rest(now time.Time) time.Duration {
	if !l.body {
		return 0
	}
	return restTime - now.Sub(l.since)
}

// send writes p within the bound of a write.
func (l *line) send(p []byte) error {
	if l.stall > 0 {
		l.postpone(time.Now())
	}
	_, err := l.Conn.Write(p)
	return err
}

// arm has a read return by the given time, or before; zero is never. A deadline that is set and earlier is left as it is: most reads are over long before,
// and to move it for each would cost more than the read. Whoever is woken by one that was another's arms again.
func (l *line) arm(by time.Time) {
	if by.IsZero() || !l.armed.IsZero() && !l.armed.After(by) {
		return
	}
	l.rearm(by)
}

func (l *line) rearm(by time.Time) {
	l.armed = by
	_ = l.SetReadDeadline(by) // it fails on a closed connection alone, which the read will say
}

const (
	sweepEvery = time.Second
	maxIdle    = 1024 // lines kept for a target without a limit of its own
)

// lines are the idle connections to one target, the longest unused first. Those that the target closed, on which it spoke unasked, or which were
// idle for too long, are found by a look each second: a goroutine that reads from each would cost every request two changes of goroutine.
type lines struct {
	keep time.Duration
	max  int

	mu     sync.Mutex
	idle   []*line
	timer  *time.Timer // runs while there are idle lines
	closed bool
}

func newLines(keep time.Duration, limit int) *lines {
	if limit == 0 {
		limit = maxIdle
	}
	return &lines{keep: keep, max: limit}
}

// youngFor is how long an idle line is taken for a request that can't be sent a second time. A target closes idle connections after some seconds, and
// its word of that may be on its way while the request is: what was used a moment ago is not about to be closed for that.
const youngFor = time.Second

// take hands out the line that was used last and has rested, or one that has not where there is no other, or nil. It may have died. Without again only
// a young one will do.
func (s *lines) take(now time.Time, again bool) *line {
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
	if !again && now.Sub(l.since) > youngFor {
		return nil
	}
	s.idle = slices.Delete(s.idle, i, i+1)
	l.kept = true
	return l
}

// put keeps l for the next trip, or closes it. body says whether its last request had one.
func (s *lines) put(l *line, body bool, now time.Time) {
	if !s.add(l, body, now) {
		l.kill()
	}
}

func (s *lines) add(l *line, body bool, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.idle) >= s.max {
		return false
	}
	l.body, l.since = body, now
	s.idle = append(s.idle, l)
	if s.timer == nil {
		s.timer = time.AfterFunc(sweepEvery, s.sweep)
	}
	return true
}

// sweep prunes, as long as there is something to prune.
func (s *lines) sweep() {
	s.prune(time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) > 0 && !s.closed {
		s.timer.Reset(sweepEvery)
		return
	}
	s.timer = nil
}

// prune closes what must not be used any more.
func (s *lines) prune(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.idle[:0]
	for _, l := range s.idle {
		if now.Sub(l.since) < s.keep && l.ready() {
			kept = append(kept, l)
			continue
		}
		l.kill()
	}
	clear(s.idle[len(kept):])
	s.idle = kept
}

// close closes what is idle, and has what comes back closed.
func (s *lines) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, l := range s.idle {
		l.kill()
	}
	s.idle = nil
	if s.timer != nil {
		s.timer.Stop() // one that has fired finds nothing
	}
}
