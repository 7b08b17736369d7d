package main

import "sync"

// gate bounds the open client connections of all listeners together. Its size may change while it is in use.
type gate struct {
	mu   sync.Mutex
	open int
	max  int
	wake chan struct{} // closed and replaced when there may be room; nil when nobody waits
}

// enter takes a place, waiting for one; it is false when stop is closed first.
func (g *gate) enter(stop <-chan struct{}) bool {
	for {
		g.mu.Lock()
		if g.open < g.max {
			g.open++
			g.mu.Unlock()
			return true
		}
		if g.wake == nil {
			g.wake = make(chan struct{})
		}
		wake := g.wake
		g.mu.Unlock()
		select {
		case <-wake:
		case <-stop:
			return false
		}
	}
}

// leave gives a place back.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	g.wakeAll()
}

// resize sets how many places there are. Those who are inside stay.
func (g *gate) resize(max int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.max = max
	g.wakeAll()
}

// count is how many are inside.
func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

func (g *gate) wakeAll() {
	if g.wake != nil {
		close(g.wake)
		g.wake = nil
	}
}
