package advice

import (
	"net/netip"
	"sync"
	"time"
)

const (
	burstGap   = 10 * time.Millisecond // the maximum pause between two requests of one burst
	burstLeast = 5                     // the minimum number of requests in a burst
	burstSlots = 256
)

// bursts detects requests of one client for different objects of one route at nearly the same time,
// as a loop over single reads makes them. Clients that share a slot evict each other, which loses a
// burst.
type bursts struct {
	slots [burstSlots]struct {
		mu sync.Mutex
		burst
	}
}

type burst struct {
	client netip.Addr
	route  *routeEvidence
	last   time.Time
	path   uint64
	n      uint64
}

// note records a request. If this ends a burst, it returns the burst's route and size; otherwise n
// is 0.
func (b *bursts) note(client netip.Addr, r *routeEvidence, path string, at time.Time) (route *routeEvidence, n uint64) {
	raw := client.As16()
	s := &b.slots[hash(0, string(raw[:]))%burstSlots]
	h := hash(0, path)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == client && s.route == r && at.Sub(s.last) < burstGap {
		if s.path != h {
			s.n++
		}
		s.last, s.path = at, h
		return nil, 0
	}
	ended := s.burst
	s.burst = burst{client, r, at, h, 1}
	if ended.n < burstLeast {
		return nil, 0
	}
	return ended.route, ended.n
}

// open calls f for each burst that has not ended.
func (b *bursts) open(f func(r *routeEvidence, n uint64)) {
	for i := range b.slots {
		s := &b.slots[i]
		s.mu.Lock()
		if s.n >= burstLeast {
			f(s.route, s.n)
		}
		s.mu.Unlock()
	}
}
