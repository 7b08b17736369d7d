package cache

import (
	"sync"
	"sync/atomic"
)

// doomedMost bounds the number of invalidated objects that doomed remembers individually.
const doomedMost = 1 << 16

// doomed remembers which objects were invalidated while fills were running. Its clock counts
// invalidations. A fill that began before the invalidation of its object must not store the fetched
// response. It may be used concurrently.
type doomed struct {
	clock atomic.Uint64
	mu    sync.Mutex
	at    map[[16]byte]uint64
	// floor is the clock when at was last emptied. A fill that began before it counts as doomed,
	// whatever its object.
	floor uint64
}

func newDoomed() *doomed { return &doomed{at: make(map[[16]byte]uint64)} }

// now returns the current time of the clock. A fill keeps it as its start.
func (d *doomed) now() uint64 { return d.clock.Load() }

// add invalidates the responses of all running fills of the object.
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

// since reports whether the object was invalidated after the time begun.
func (d *doomed) since(object [16]byte, begun uint64) bool {
	if d.clock.Load() == begun {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at[object] > begun || d.floor > begun
}

// of returns the time of the object's last invalidation. It returns 0 if there was none. It returns
// floor if floor is later, because doomed may have forgotten an invalidation up to then.
func (d *doomed) of(object [16]byte) uint64 {
	if d.clock.Load() == 0 {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return max(d.at[object], d.floor)
}
