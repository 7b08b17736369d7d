package store

import (
	"container/heap"
	"sync"
	"time"
)

// place says where an item stands.
type place uint8

const (
	nowhere  place = iota // not counted
	inWindow              // in the recency window
	offered               // on its way from the window to ristretto
	inMain                // admitted by ristretto
)

const (
	// windowShare is the part of the bytes, in hundredths, that the recency window has.
	windowShare = 20
	maxUses     = 3
	onTrial     = 1 << 8 // in item.touched: the next use is to be told to the ledger
	expireBatch = 128
)

// record is what the ledger knows of an item; its lock guards it.
type record struct {
	where      place
	due        int // index in the heap of expiries
	cost       int64
	expires    int64 // in nanoseconds since 1970
	prev, next *item // in the queue of the window or of main
	ticket     *ticket
	tried      int64 // when it was put on trial
}

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

// ledger keeps the bytes: who stands where, what it costs, who is to go. Its lock is taken after a shard's, never before.
type ledger struct {
	mu      sync.Mutex
	size    int64
	window  queue
	main    queue
	offers  int64 // cost of what is offered
	count   int64
	expires expiries
	judge   judge
	tally   Stats
}

func (l *ledger) init(size, objects int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size = size
	l.judge.init(size, objects)
	l.window.init()
	l.main.init()
	l.offers, l.count, l.expires = 0, 0, nil
}

func (l *ledger) windowMax() int64 { return l.size / 100 * windowShare }
func (l *ledger) mainMax() int64   { return l.size - l.windowMax() }
func (l *ledger) used() int64      { return l.window.used + l.main.used + l.offers }

// enter counts an item that is new or has changed, and returns what has to be moved for it.
func (l *ledger) enter(it *item, cost int64, expires time.Time) []move {
	l.mu.Lock()
	defer l.mu.Unlock()
	var moves []move
	switch it.where {
	case nowhere:
		it.cost = cost
		l.add(it)
	case inWindow:
		l.window.used += cost - it.cost
		it.cost = cost
		l.window.renew(it)
	case offered: // confirm will tell ristretto of the new cost
		l.offers += cost - it.cost
		it.cost = cost
	case inMain:
		l.main.used += cost - it.cost
		if it.cost != cost {
			it.cost = cost
			moves = append(moves, l.register(it))
		}
		l.main.renew(it)
	}
	l.reschedule(it, expires)
	moves = l.makeRoom(it, moves)
	if len(moves) == 0 { // else confirm will see to it, when the offers are in or out
		moves = l.bound(moves)
	}
	return moves
}

func (l *ledger) add(it *item) {
	it.where = inWindow
	l.window.push(it)
	l.judge.entered(it.id, it.cost)
	l.count++
	heap.Push(&l.expires, it)
}

func (l *ledger) reschedule(it *item, expires time.Time) {
	it.expires = expires.UnixNano()
	heap.Fix(&l.expires, it.due)
}

// register makes the current registration with ristretto a new one.
func (l *ledger) register(it *item) move {
	it.ticket = &ticket{it}
	return move{item: it, ticket: it.ticket, cost: it.cost}
}

// makeRoom pushes the oldest out of the window until it is within bounds; it, which has just come, is the last to go.
func (l *ledger) makeRoom(it *item, moves []move) []move {
	for l.window.used > l.windowMax() {
		old := l.window.oldest()
		if old == it {
			break
		}
		if old.touched.Load() > 0 {
			old.touched.Store(0)
			l.window.renew(old)
			continue
		}
		moves = l.offer(old, moves)
	}
	return moves
}

// offer sends an item from the window to ristretto, by recency after making room for it: ristretto takes what there is room for.
func (l *ledger) offer(it *item, moves []move) []move {
	byRecent, trial := l.judge.decide()
	if byRecent {
		moves = l.evictIdle(l.mainMax()-it.cost, moves)
	}
	if trial {
		it.tried = l.judge.clock
		it.touched.Store(onTrial)
		l.judge.count(&l.judge.byUse)
	}
	l.window.remove(it)
	it.where = offered
	l.offers += it.cost
	return append(moves, l.register(it))
}

// evictIdle evicts from main what has not been used for longest until it takes no more than limit. Those that were used since it last came by get
// another turn for it; while recency counts, one turn however often they were used.
func (l *ledger) evictIdle(limit int64, moves []move) []move {
	for l.main.used+l.offers > limit {
		it := l.main.oldest()
		if it == nil {
			break
		}
		n := it.touched.Load() &^ onTrial
		if n == 0 {
			l.judge.remember(it.id, &l.judge.byAge)
			moves = append(moves, l.evict(it))
			continue
		}
		if l.judge.byRecent {
			n = 1
		}
		it.touched.Store(n - 1)
		l.main.renew(it)
	}
	return moves
}

// proved hears of the use of an item on trial.
func (l *ledger) proved(it *item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.judge.proved(it.tried)
}

// confirm enters what has been offered and was not refused into main, and returns what is to be done about changes meanwhile and for the bound of
// the whole, which updates that grow may have broken.
func (l *ledger) confirm(done []move) (moves []move) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range done {
		it := v.item
		if v.ticket == nil || it.ticket != v.ticket {
			continue
		}
		if it.where == offered {
			it.where = inMain
			l.offers -= it.cost
			l.main.push(it)
			l.tally.Admitted++
		}
		if it.cost != v.cost {
			moves = append(moves, l.register(it))
		}
	}
	return l.bound(moves)
}

// bound evicts until all is within the size. Ristretto does so for what is new to it, and not for what grows.
func (l *ledger) bound(moves []move) []move {
	for l.used() > l.size && l.main.oldest() != nil {
		moves = append(moves, l.evict(l.main.oldest()))
	}
	return moves
}

// evict lets go of an item; the move takes it out of the table.
func (l *ledger) evict(it *item) move {
	listed := l.drop(it)
	l.tally.Evicted++
	return move{item: it, listed: listed}
}

// drop stops counting an item and reports whether it was registered with ristretto.
func (l *ledger) drop(it *item) (listed bool) {
	switch it.where {
	case nowhere:
		return false
	case inWindow:
		l.window.remove(it)
	case offered:
		l.offers -= it.cost
	case inMain:
		l.main.remove(it)
	}
	listed = it.where != inWindow
	it.where, it.ticket = nowhere, nil
	heap.Remove(&l.expires, it.due)
	l.count--
	return listed
}

// leave is for an item that is being deleted.
func (l *ledger) leave(it *item) (listed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drop(it)
}

// gone reports whether an item that was let go of has not come back.
func (l *ledger) gone(it *item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return it.where == nowhere
}

// release lets go of an item whose registration has ended, and reports whether it did: if the item has another one by now, it stays.
func (l *ledger) release(t *ticket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	it := t.item
	if it.ticket != t {
		return false
	}
	l.judge.remember(it.id, &l.judge.byUse)
	if it.where == offered {
		l.tally.Rejected++
	} else {
		l.tally.Evicted++
	}
	l.drop(it)
	return true
}

// expired lets go of some of the items that are past all use at now.
func (l *ledger) expired(now time.Time) (moves []move) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.expires) > 0 && len(moves) < expireBatch && l.expires[0].expires <= now.UnixNano() {
		it := l.expires[0]
		moves = append(moves, move{item: it, listed: l.drop(it)})
		l.tally.Expired++
	}
	return moves
}

func (l *ledger) stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.tally
	s.Objects, s.Bytes = l.count, l.used()
	return s
}
