package store

import "sync/atomic"

// memo keeps objects as they have been unpacked, so that a hit on what is asked for often allocates nothing. It is bounded; the place of one that
// has not been used since the hand last came by is given to another.
type memo struct {
	places []atomic.Pointer[Object]
	hand   atomic.Uint32
}

const (
	memoShare   = 128 // the part of the size that it may take, as its fraction
	memoCost    = 608 // of one: unpacked, in the allocator's size, and the pointer to it
	minMemo     = 16
	memoForward = 8 // how many places are looked at to find one whose object is not in use
)

func (m *memo) init(size int64) {
	m.places = make([]atomic.Pointer[Object], 1+max(size/memoShare/memoCost, minMemo)) // the first is nobody's
}

// load is the object of an item, which is stored at its ref; nil when it is not here. The lock of the item's shard is held.
func (m *memo) load(it *item) *Object {
	i := it.memo.Load()
	if i == 0 {
		return nil
	}
	o := m.places[i].Load()
	if o == nil || o.at != it.ref {
		return nil
	}
	if !o.recent.Load() { // most hits of what is hot write nothing
		o.recent.Store(true)
	}
	return o
}

// keep gives an item's object a place, and returns it, or the one that another reader has unpacked at the same time. The lock of the item's shard is
// held, if only for reading.
func (m *memo) keep(it *item, o *Object) *Object {
	before := it.memo.Load()
	i := m.claim()
	m.places[i].Store(o)
	if it.memo.CompareAndSwap(before, i) {
		return o
	}
	m.places[i].CompareAndSwap(o, nil)
	if other := m.load(it); other != nil {
		return other
	}
	return o
}

// claim finds a place to be overwritten.
func (m *memo) claim() (i uint32) {
	for range memoForward {
		i = 1 + m.hand.Add(1)%uint32(len(m.places)-1)
		if o := m.places[i].Load(); o == nil || !o.recent.Swap(false) {
			return i
		}
	}
	return i
}

// forget empties the place of an item that goes or changes. The lock of its shard is held.
func (m *memo) forget(it *item) {
	i := it.memo.Load()
	if i == 0 {
		return
	}
	it.memo.Store(0)
	if o := m.places[i].Load(); o != nil && o.at == it.ref {
		m.places[i].CompareAndSwap(o, nil)
	}
}
