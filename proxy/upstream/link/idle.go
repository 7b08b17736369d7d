package link

import (
	"context"
	"net"
	"sync"
	"time"
)

const (
	aheadCheck   = time.Second      // how often Keep looks at the connections
	aheadMaxWait = 30 * time.Second // the longest pause after failures to fill it
)

// Ahead dials connections to one target in advance. With the connections in use, the target never
// has fewer than min.
type Ahead struct {
	end    *Endpoint
	min    int
	maxAge time.Duration // a target may close a connection that never says anything; it is replaced before

	mu     sync.Mutex
	ready  []dialled
	closed bool
	wake   chan struct{}
}

type dialled struct {
	conn net.Conn
	born time.Time
}

// NewAhead makes an Ahead that holds min connections, each for maxAge at most.
func NewAhead(end *Endpoint, min int, maxAge time.Duration) *Ahead {
	return &Ahead{end: end, min: min, maxAge: maxAge, wake: make(chan struct{}, 1)}
}

// take hands out a connection that is still alive, the newest first, or nil.
func (s *Ahead) take() net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.ready) > 0 {
		last := len(s.ready) - 1
		c := s.ready[last].conn
		s.ready[last] = dialled{}
		s.ready = s.ready[:last]
		if usable(c) {
			return c
		}
		_ = c.Close() // it is dead already
	}
	return nil
}

// usable looks at the TCP connection of a plain one. Over TLS 1.3 a target may have sent session
// tickets, so that there only use can tell.
func usable(c net.Conn) bool {
	if raw, ok := c.(*Conn); ok {
		return raw.Probe.Silent()
	}
	return true
}

// Keep dials until ctx ends, and then closes the connections that were not used.
func (s *Ahead) Keep(ctx context.Context) {
	defer s.drain()
	wait := aheadCheck
	for {
		s.prune(time.Now())
		if s.fill(ctx) {
			wait = aheadCheck
		} else {
			wait = min(2*wait, aheadMaxWait)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-time.After(wait):
		}
	}
}

// fill dials until min connections are open, and reports whether that was reached.
func (s *Ahead) fill(ctx context.Context) bool {
	for ctx.Err() == nil && s.end.Open.Load() < int64(s.min) {
		c, err := s.end.Dial(ctx, s.end.TLS)
		if err != nil {
			return false
		}
		markDialledAhead(c)
		if !s.put(c) {
			return false
		}
	}
	return true
}

func markDialledAhead(c net.Conn) {
	if raw := Raw(c); raw != nil {
		raw.DialledAhead = true
	}
}

func (s *Ahead) put(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close() // Keep has ended, so the connection is not needed
		return false
	}
	s.ready = append(s.ready, dialled{c, time.Now()})
	return true
}

// prune closes connections that are dead or too old.
func (s *Ahead) prune(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.ready[:0]
	for _, c := range s.ready {
		if now.Sub(c.born) < s.maxAge && usable(c.conn) {
			kept = append(kept, c)
			continue
		}
		_ = c.conn.Close() // never used, nothing to lose
	}
	clear(s.ready[len(kept):])
	s.ready = kept
}

func (s *Ahead) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, c := range s.ready {
		_ = c.conn.Close() // never used, nothing to lose
	}
	s.ready = nil
}

// Size is the number of connections that wait to be used.
func (s *Ahead) Size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ready)
}

// refill makes Keep look at once.
func (s *Ahead) refill() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
