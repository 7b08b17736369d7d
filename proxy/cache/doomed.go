package cache

import (
	"sync"
	"sync/atomic"
)

// doomedMost bounds how many invalidations are remembered one by one.
const doomedMost = 1 << 16

// doomed remembers which objects were invalidated while fills were under way, on a clock that counts invalidations. A fill that began
// before the invalidation of its object must not store what it fetched. Safe for concurrent use.
type doomed struct {
	clock atomic.Uint64
	mu    sync.Mutex
	at    map[[16]byte]uint64
	// floor stands for all that was forgotten: whoever began at or before it counts as doomed.
	floor uint64
}

func newDoomed() *doomed { return &doomed{at: make(map[[16]byte]uint64)} }

// now is the time at which a fill begins.
func (d *doomed) now() uint64 { return d.clock.Load() }

// add invalidates what fills of the object fetch that have begun by now.
func (d *doomed) add(object [16]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.clock.Add(1)
	if len(d.at) >= doomedMost {
		d.floor = t
		clear(d.at)
	}
	d.at[object] = t
}

// since reports whether the object was invalidated after begun.
func (d *doomed) since(object [16]byte, begun uint64) bool {
	if d.clock.Load() == begun {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at[object] > begun || d.floor > begun
}

// of is when the object was last invalidated, 0 if it was not.
func (d *doomed) of(object [16]byte) uint64 {
	if d.clock.Load() == 0 {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return max(d.at[object], d.floor)
}
