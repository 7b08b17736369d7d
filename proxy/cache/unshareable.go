package cache

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// unshareableFor is the time for which no request waits for a key after a response for it proved to
// be for one client alone.
const unshareableFor = 2 * time.Minute

const unshareableSlots = 1 << 14

// unshareable remembers keys whose recent responses could not be shared, so that their requests do
// not queue in vain. It is lossy: two keys that share a slot push each other out, which costs one
// wait. It is safe for concurrent use.
type unshareable struct {
	seed  maphash.Seed
	slots [unshareableSlots]atomic.Pointer[unshared]
	now   func() time.Time
}

type unshared struct {
	key   flightKey
	until time.Time
}

func newUnshareable(now func() time.Time) *unshareable {
	return &unshareable{seed: maphash.MakeSeed(), now: now}
}

// slot returns the slot of k. It clears k's serial and span: the finding about a response holds for
// its parts too.
func (u *unshareable) slot(k *flightKey) *atomic.Pointer[unshared] {
	k.serial, k.span = 0, ""
	return &u.slots[maphash.Comparable(u.seed, *k)%unshareableSlots]
}

func (u *unshareable) add(k flightKey) {
	u.slot(&k).Store(&unshared{k, u.now().Add(unshareableFor)})
}

func (u *unshareable) has(k flightKey) bool {
	s := u.slot(&k).Load()
	return s != nil && s.key == k && u.now().Before(s.until)
}

func (u *unshareable) forget(k flightKey) {
	slot := u.slot(&k)
	if s := slot.Load(); s != nil && s.key == k {
		slot.CompareAndSwap(s, nil)
	}
}
