package store

import "sync/atomic"

// decoded is a bounded cache of decoded objects, so that a hit on a hot object allocates nothing.
// It evicts by the clock algorithm: an object loses its place if it was not used since the hand
// last passed.
type decoded struct {
	places []atomic.Pointer[Object]
	hand   atomic.Uint32
}

const (
	decodedShare = 128 // divisor: the cache may take this fraction of the memory's size
	decodedCost  = 608 // bytes of one decoded object in the allocator's size class, and of the pointer to it
	minDecoded   = 16
	claimTries   = 8 // places that claim inspects to find an unused object
)

func (m *decoded) init(size int64) {
	m.places = make([]atomic.Pointer[Object], 1+max(size/decodedShare/decodedCost, minDecoded)) // place 0 stays empty
}

// load returns the decoded object of an item if it is cached and still current, or nil. The caller
// holds the lock of the item's shard.
func (m *decoded) load(it *item) *Object {
	i := it.decoded.Load()
	if i == 0 {
		return nil
	}
	o := m.places[i].Load()
	if o == nil || o.at != it.ref {
		return nil
	}
	if !o.recent.Load() { // most hits on a hot object write nothing
		o.recent.Store(true)
	}
	return o
}

// keep caches the decoded object of an item and returns it. If another reader decoded the object at
// the same time, keep returns that reader's object. The caller holds the lock of the item's shard
// at least for reading.
func (m *decoded) keep(it *item, o *Object) *Object {
	before := it.decoded.Load()
	i := m.claim()
	m.places[i].Store(o)
	if it.decoded.CompareAndSwap(before, i) {
		return o
	}
	m.places[i].CompareAndSwap(o, nil)
	if other := m.load(it); other != nil {
		return other
	}
	return o
}

// claim returns a place that may be overwritten.
func (m *decoded) claim() (i uint32) {
	for range claimTries {
		i = 1 + m.hand.Add(1)%uint32(len(m.places)-1)
		if o := m.places[i].Load(); o == nil || !o.recent.Swap(false) {
			return i
		}
	}
	return i
}

// forget empties the place of an item that is removed or changes. The caller holds the lock of the
// item's shard.
func (m *decoded) forget(it *item) {
	i := it.decoded.Load()
	if i == 0 {
		return
	}
	it.decoded.Store(0)
	if o := m.places[i].Load(); o != nil && o.at == it.ref {
		m.places[i].CompareAndSwap(o, nil)
	}
}
