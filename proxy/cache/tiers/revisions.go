package tiers

import (
	"encoding/binary"
	"sync/atomic"
)

// revisions counts the responses that were stored in memory, by slots of keys. A request that has
// looked up a key and then waited compares two counts to learn whether it has to look again. If
// keys share a slot, a request may make one lookup too many. It is safe for concurrent use.
type revisions [1 << 12]atomic.Uint32

func (r *revisions) slot(object [16]byte) *atomic.Uint32 {
	return &r[binary.LittleEndian.Uint16(object[:2])%uint16(len(r))]
}

// Of returns the present revision of an object.
func (r *revisions) Of(object [16]byte) uint32 { return r.slot(object).Load() }

// bump increments the revision of an object. It is called after a response was stored.
func (r *revisions) bump(object [16]byte) { r.slot(object).Add(1) }
