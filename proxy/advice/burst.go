package advice

import (
	"net/netip"
	"sync"
	"time"
)

const (
	burstGap   = 10 * time.Millisecond // between two requests of one burst
	burstLeast = 5                     // requests that make a burst
	burstSlots = 256
)

// bursts finds requests of one client for one route, each for another object, that come at once: what a loop over single reads does. Clients that fall
// into one slot push each other out, which costs a burst.
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

// note takes a request, and gives a burst that has ended with it; n is 0 for none.
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

// open are the bursts that have not ended, for whoever reads the evidence.
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
