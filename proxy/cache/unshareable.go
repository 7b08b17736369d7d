package cache

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// unshareableFor is how long a key is not waited for after its response proved to be for one client alone.
const unshareableFor = 2 * time.Minute

const unshareableSlots = 1 << 14

// unshareable remembers keys whose responses could not be shared, so that their requests don't queue up for nothing. It forgets: two keys
// that fall into one slot push each other out, which costs one wait. Safe for concurrent use.
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

// slot is where k is remembered. The serial and the span don't count: what is true of a response is true of its parts.
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
