package upstream

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

const (
	stockCheck   = time.Second      // how often a stock is looked over
	stockMaxWait = 30 * time.Second // the longest pause after failures to fill it
)

// stock keeps connections to one target open in advance, so that with those in use there are never fewer than min.
type stock struct {
	end    *endpoint
	min    int
	maxAge time.Duration // a target may close a connection that never says anything; it is replaced before

	mu     sync.Mutex
	ready  []stocked
	closed bool
	wake   chan struct{}
}

type stocked struct {
	conn net.Conn
	born time.Time
}

func newStock(end *endpoint, min int, maxAge time.Duration) *stock {
	return &stock{end: end, min: min, maxAge: maxAge, wake: make(chan struct{}, 1)}
}

// take hands out a connection that is still alive, the newest first, or nil.
func (s *stock) take() net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.ready) > 0 {
		last := len(s.ready) - 1
		c := s.ready[last].conn
		s.ready[last] = stocked{}
		s.ready = s.ready[:last]
		if usable(c) {
			return c
		}
		_ = c.Close() // it is dead already
	}
	return nil
}

// usable looks at the TCP connection of a plain one. Over TLS 1.3 a target may have sent session tickets, so that there only use can tell.
func usable(c net.Conn) bool {
	if raw, ok := c.(*conn); ok {
		return raw.probe.silent()
	}
	return true
}

// keep fills the stock until ctx ends, and then closes what is in it.
func (s *stock) keep(ctx context.Context) {
	defer s.drain()
	wait := stockCheck
	for {
		s.prune(time.Now())
		if s.fill(ctx) {
			wait = stockCheck
		} else {
			wait = min(2*wait, stockMaxWait)
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
func (s *stock) fill(ctx context.Context) bool {
	for ctx.Err() == nil && s.end.open.Load() < int64(s.min) {
		c, err := s.end.dial(ctx, s.end.tls)
		if err != nil {
			return false
		}
		markStocked(c)
		if !s.put(c) {
			return false
		}
	}
	return true
}

func markStocked(c net.Conn) {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	if raw, ok := c.(*conn); ok {
		raw.stocked = true
	}
}

func (s *stock) put(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close() // nobody wants it any more
		return false
	}
	s.ready = append(s.ready, stocked{c, time.Now()})
	return true
}

// prune closes what is dead or too old.
func (s *stock) prune(now time.Time) {
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

func (s *stock) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, c := range s.ready {
		_ = c.conn.Close() // never used, nothing to lose
	}
	s.ready = nil
}

// size is the number of connections in stock.
func (s *stock) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ready)
}

// refill asks for a look at the stock now.
func (s *stock) refill() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
