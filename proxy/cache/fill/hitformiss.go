package fill

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// hitForMissFor is the time for which no request waits for a key after a response for it proved to
// be for one client alone.
const hitForMissFor = 2 * time.Minute

const hitForMissSlots = 1 << 14

// HitForMiss remembers keys whose recent responses could not be shared, so that their requests do
// not queue in vain. It is lossy: two keys that share a slot push each other out, which costs one
// wait. It is safe for concurrent use.
type HitForMiss struct {
	seed  maphash.Seed
	slots [hitForMissSlots]atomic.Pointer[hitForMissKey]
	now   func() time.Time
}

type hitForMissKey struct {
	key   FlightKey
	until time.Time
}

func newHitForMiss(now func() time.Time) *HitForMiss {
	return &HitForMiss{seed: maphash.MakeSeed(), now: now}
}

// slot returns the slot of k. It clears k's serial and span: the finding about a response holds for
// its parts too.
func (u *HitForMiss) slot(k *FlightKey) *atomic.Pointer[hitForMissKey] {
	k.serial, k.span = 0, ""
	return &u.slots[maphash.Comparable(u.seed, *k)%hitForMissSlots]
}

func (u *HitForMiss) add(k FlightKey) {
	u.slot(&k).Store(&hitForMissKey{k, u.now().Add(hitForMissFor)})
}

// Has reports whether k is remembered.
func (u *HitForMiss) Has(k FlightKey) bool {
	s := u.slot(&k).Load()
	return s != nil && s.key == k && u.now().Before(s.until)
}

func (u *HitForMiss) forget(k FlightKey) {
	slot := u.slot(&k)
	if s := slot.Load(); s != nil && s.key == k {
		slot.CompareAndSwap(s, nil)
	}
}
