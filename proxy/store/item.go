package store

import "sync/atomic"

// item is an object's place in the table, in the queues and in the eyes of ristretto. It has no pointer, so that the garbage collector passes by.
// There is one per first half of the keys' hashes, as in ristretto: of two keys that share it, which only an attacker will find, the later
// takes the place of the earlier.
type item struct {
	id      atomic.Uint64 // changes only while the item is in no table
	ref     ref           // guarded by the shard, as is memo but for readers that fill it
	memo    atomic.Uint32
	touched atomic.Uint32 // uses since the ledger looked last, up to maxUses; or onTrial

	account // the ledger's
}

// account is what the ledger knows of an item; its lock guards it.
type account struct {
	cost       int64  // with mainCost if it is registered
	prev, next uint32 // in the queue of the window or of main
	expires    uint32 // in seconds since 1970
	ticket     uint32 // the current registration with ristretto, 0: none
	tried      uint32 // when it was put on trial, by the judge's clock
	where      place
}

// ticket is one registration of an item with ristretto: its number and, in the upper half, a serial number. An item that is registered anew has a
// new one, so that word of the end of an old registration is told from that of the current one.
type ticket uint64

func ticketOf(item, serial uint32) ticket { return ticket(serial)<<32 | ticket(item) }

func (t ticket) item() uint32   { return uint32(t) }
func (t ticket) serial() uint32 { return uint32(t >> 32) }

// touch notes a use, and reports whether the item was on trial. Most uses of a hot item write nothing.
func (it *item) touch() (trial bool) {
	n := it.touched.Load()
	if n == maxUses {
		return false
	}
	if n&onTrial != 0 {
		return it.touched.CompareAndSwap(n, 1)
	}
	it.touched.CompareAndSwap(n, n+1) // of two at once one counts
	return false
}
