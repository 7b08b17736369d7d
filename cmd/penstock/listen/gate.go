package listen

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// lookAgain is the interval at which a connection that waits at a full gate looks for an idle one.
const lookAgain = 20 * time.Millisecond

// gate bounds the open client connections of all listeners together. Its size may change while it
// is in use. At a full gate, a new connection replaces the connections that have been idle for
// longest: a client that keeps an idle connection open must not keep another client out.
type gate struct {
	mu     sync.Mutex
	inside map[*conn]struct{}
	max    int
	wake   chan struct{} // closed and replaced when there may be room; nil if no connection waits
}

// enter admits c, waiting for room if necessary. It returns false if stop is closed first.
func (g *gate) enter(c *conn, stop <-chan struct{}) bool {
	for {
		wake, full := g.admit(c)
		if !full {
			return true
		}
		if g.makeRoom() {
			continue
		}
		look := time.NewTimer(lookAgain)
		select {
		case <-wake:
		case <-look.C:
		case <-stop:
			look.Stop()
			return false
		}
		look.Stop()
	}
}

// admit admits c, or returns a channel that is closed when there may be room.
func (g *gate) admit(c *conn) (wake <-chan struct{}, full bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.inside) < g.max {
		if g.inside == nil {
			g.inside = make(map[*conn]struct{})
		}
		g.inside[c] = struct{}{}
		return nil, false
	}
	if g.wake == nil {
		g.wake = make(chan struct{})
	}
	return g.wake, true
}

// makeRoom closes the connections that have been idle for longest, several at a time. Otherwise an
// attacker could make the gate examine all connections for each new one. It reports whether there
// is room now.
func (g *gate) makeRoom() bool {
	g.mu.Lock()
	idle, many := longestIdle(g.inside, time.Now()), max(1, g.max/100)
	before := len(g.inside)
	g.mu.Unlock()
	for _, r := range idle[:min(many, len(idle))] {
		r.conn.endIdle() // it takes the lock, to leave the gate
	}
	return g.count() < before
}

// rest is a connection that was idle when it was examined.
type rest struct {
	conn  *conn
	since int64
}

// longestIdle lists the idle connections, the longest idle first. After them come the connections
// whose requests have stalled because the client reads or sends nothing.
func longestIdle(conns map[*conn]struct{}, now time.Time) []rest {
	var idle, still []rest
	for c := range conns {
		if since := c.idleSince(); since != 0 {
			idle = append(idle, rest{c, since})
		} else if since := c.stillSince(now); since != 0 {
			still = append(still, rest{c, since})
		}
	}
	for _, those := range [][]rest{idle, still} {
		slices.SortFunc(those, func(a, b rest) int { return cmp.Compare(a.since, b.since) })
	}
	return append(idle, still...)
}

// leave removes c from the gate.
func (g *gate) leave(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.inside, c)
	g.wakeAll()
}

// resize sets the maximum. Connections that are already admitted stay.
func (g *gate) resize(max int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.max = max
	g.wakeAll()
}

// count returns the number of admitted connections.
func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.inside)
}

func (g *gate) wakeAll() {
	if g.wake != nil {
		close(g.wake)
		g.wake = nil
	}
}
