package tiers

import (
	"sync"
	"sync/atomic"
)

// maxInvalidations bounds the number of invalidated objects that Invalidations remembers
// individually.
const maxInvalidations = 1 << 16

// Invalidations remembers which objects were invalidated while fills were running. Its clock counts
// invalidations. A fill that began before the invalidation of its object must not store the fetched
// response. It may be used concurrently.
type Invalidations struct {
	clock atomic.Uint64
	mu    sync.Mutex
	at    map[[16]byte]uint64
	// floor is the clock when at was last emptied. A fill that began before it counts as
	// invalidated, whatever its object.
	floor uint64
}

// Now returns the current time of the clock. A fill keeps it as its start.
func (d *Invalidations) Now() uint64 { return d.clock.Load() }

// add invalidates the responses of all running fills of the object.
func (d *Invalidations) add(object [16]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.clock.Add(1)
	if len(d.at) >= maxInvalidations {
		d.floor = t
		clear(d.at)
	}
	if d.at == nil {
		d.at = make(map[[16]byte]uint64)
	}
	d.at[object] = t
}

// Since reports whether the object was invalidated after the time begun.
func (d *Invalidations) Since(object [16]byte, begun uint64) bool {
	if d.clock.Load() == begun {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at[object] > begun || d.floor > begun
}

// Last returns the time of the object's last invalidation. It returns 0 if there was none. It
// returns floor if floor is later, because an invalidation up to then may be forgotten.
func (d *Invalidations) Last(object [16]byte) uint64 {
	if d.clock.Load() == 0 {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return max(d.at[object], d.floor)
}
