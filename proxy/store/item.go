package store

import (
	"sync/atomic"
)

// item is the place of an object in the table, in the ledger's queues and in ristretto. It holds no
// pointer, so the garbage collector does not scan it.
//
// The id is the first half of the key's hash, as in ristretto. If two keys share it, which only an
// attacker can cause, the later object replaces the earlier one.
type item struct {
	id      atomic.Uint64 // changes only while the item is in no table
	ref     ref           // guarded by the shard's lock, like decoded, which readers may also fill
	decoded atomic.Uint32
	touched atomic.Uint32 // uses since the ledger last looked, up to maxUses; or onProbation

	account // guarded by the ledger's lock
}

// account is the ledger's part of an item. The ledger's lock guards it.
type account struct {
	cost           int64  // includes mainCost if the item is registered
	prev, next     uint32 // in the queue of the window or of main
	expires        uint32 // in seconds since 1970
	ticket         uint32 // serial number of the current registration with ristretto; 0 if there is none
	probationStart uint32 // start of probation by the policy's clock
	where          place
}

// ticket is one registration of an item with ristretto: the item's number, and a serial number in
// the upper half. Each registration gets a new serial number, so that a late notice about an old
// registration is not mistaken for one about the current registration.
type ticket uint64

func ticketOf(item, serial uint32) ticket { return ticket(serial)<<32 | ticket(item) }

func (t ticket) item() uint32   { return uint32(t) }
func (t ticket) serial() uint32 { return uint32(t >> 32) }

// touch records a use and reports whether the item was on probation. Most uses of a hot item write
// nothing.
func (it *item) touch() (probation bool) {
	n := it.touched.Load()
	if n == maxUses {
		return false
	}
	if n&onProbation != 0 {
		return it.touched.CompareAndSwap(n, 1)
	}
	it.touched.CompareAndSwap(n, n+1) // if two calls race, only one counts
	return false
}

// queue is a doubly linked list of items, newest first. The zero value is empty.
type queue struct {
	newest, oldest uint32 // 0 if empty
	used           int64
}

func (q *queue) push(items *slab[item], i uint32) {
	it := items.at(i)
	it.prev, it.next = 0, q.newest
	if q.newest != 0 {
		items.at(q.newest).prev = i
	} else {
		q.oldest = i
	}
	q.newest = i
	q.used += it.cost
}

func (q *queue) remove(items *slab[item], i uint32) {
	it := items.at(i)
	if it.prev != 0 {
		items.at(it.prev).next = it.next
	} else {
		q.newest = it.next
	}
	if it.next != 0 {
		items.at(it.next).prev = it.prev
	} else {
		q.oldest = it.prev
	}
	it.prev, it.next = 0, 0
	q.used -= it.cost
}

// renew makes i the newest item.
func (q *queue) renew(items *slab[item], i uint32) {
	if q.newest == i {
		return
	}
	q.remove(items, i)
	q.push(items, i)
}
