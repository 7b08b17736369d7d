package fill

import (
	"encoding/binary"
	"sync/atomic"
	"time"
)

// Pending remembers the stored objects that the origin is being asked for, and since when. It is
// lossy like RecentFailures: two objects that share a slot push each other out, which costs one wait. It
// is safe for concurrent use.
type Pending struct {
	slots [failureSlots]atomic.Pointer[question]
}

// question is a pending call for a stored object.
type question struct {
	object [16]byte
	since  time.Time // by the real clock, because waiting takes real time
}

func (p *Pending) slot(object [16]byte) *atomic.Pointer[question] {
	return &p.slots[binary.LittleEndian.Uint16(object[:2])%failureSlots]
}

// begin notes a call for the object, if no call is noted. The returned function ends the note.
func (p *Pending) begin(object [16]byte) (end func()) {
	slot := p.slot(object)
	old := slot.Load()
	if old != nil && old.object == object {
		return func() {}
	}
	q := &question{object, time.Now()}
	slot.CompareAndSwap(old, q)
	return func() { slot.CompareAndSwap(q, nil) }
}

// Age returns the time for which a call for the object has been pending, or 0 if there is no such
// call.
func (p *Pending) Age(object [16]byte) time.Duration {
	if q := p.slot(object).Load(); q != nil && q.object == object {
		return time.Since(q.since)
	}
	return 0
}
