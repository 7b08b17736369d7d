package store

import (
	"math"
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

	// pushMost is how many objects are pushed out of the window for one that comes, beside what its room takes, and lookMost how many are looked at, there
	// and for each that is evicted from main: what was used of late must not make one who comes wait until all of it has been gone through.
	pushMost = 16
	lookMost = 64
	// ampleShare is the part of the size, in hundredths, below which all objects are in the window.
	ampleShare = 75
)

// ledger keeps the bytes: who stands where, what it costs, who is to go. Its lock is taken after a shard's, never before.
//
// While there is room for all, nobody has to choose, and ristretto would have to be told of each object for nothing, in more memory than all else takes
// that is kept of one: then the window has no bound. It gets one when the size is reached for the first time, and gives what is beyond it to main
// little by little.
type ledger struct {
	mu     sync.Mutex
	items  *slab[item]
	size   int64
	window queue
	main   queue
	offers int64 // cost of what is offered
	count  int64
	scarce bool   // there is no room for all: the window is bounded
	serial uint32 // of the last registration
	judge  judge
	tally  Stats
}

func (l *ledger) init(size, objects int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size = size
	l.judge.init(size, objects)
	l.window, l.main = queue{}, queue{}
	l.offers, l.count, l.scarce = 0, 0, false
}

func (l *ledger) windowMax() int64 { return l.size / 100 * windowShare }
func (l *ledger) mainMax() int64   { return l.size - l.windowMax() }
func (l *ledger) used() int64      { return l.window.used + l.main.used + l.offers }

// weigh finds out whether there is room for all. That there is again takes more than a few objects that have gone.
func (l *ledger) weigh() {
	switch used := l.used(); {
	case used > l.size:
		l.scarce = true
	case used < l.size/100*ampleShare:
		l.scarce = false
	}
}

// enter counts an item that is new or has changed, and returns what has to be moved for it.
func (l *ledger) enter(i uint32, cost int64, expires time.Time) []move {
	l.mu.Lock()
	defer l.mu.Unlock()
	var moves []move
	it := l.items.at(i)
	if it.where == offered || it.where == inMain {
		cost += mainCost
	}
	switch it.where {
	case nowhere:
		it.cost = cost
		l.add(i)
	case inWindow:
		l.window.used += cost - it.cost
		it.cost = cost
		l.window.renew(l.items, i)
	case offered: // confirm will tell ristretto of the new cost
		l.offers += cost - it.cost
		it.cost = cost
	case inMain:
		l.main.used += cost - it.cost
		if it.cost != cost {
			it.cost = cost
			moves = append(moves, l.register(i))
		}
		l.main.renew(l.items, i)
	}
	it.expires = upToSecond(expires)
	moves = l.makeRoom(i, moves)
	if len(moves) == 0 || l.main.used+l.offers <= l.mainMax() { // else confirm will see to it, when the offers are in or out
		moves = l.bound(moves)
	}
	return moves
}

// upToSecond is t in seconds since 1970, rounded up.
func upToSecond(t time.Time) uint32 {
	return uint32(min(max(t.Add(time.Second-1).Unix(), 0), math.MaxUint32))
}

func (l *ledger) add(i uint32) {
	it := l.items.at(i)
	it.where = inWindow
	l.window.push(l.items, i)
	l.judge.entered(it.id.Load(), it.cost)
	l.count++
}

// register makes the current registration with ristretto a new one.
func (l *ledger) register(i uint32) move {
	if l.serial++; l.serial == 0 {
		l.serial = 1
	}
	it := l.items.at(i)
	it.ticket = l.serial
	return move{id: it.id.Load(), ticket: ticketOf(i, it.ticket), cost: it.cost}
}

// makeRoom pushes the oldest out of a window that is beyond its bounds: as many as the size makes necessary, and some more if there are more. Those
// that were used get another turn, unless too many have got one. i, which has just come, is the last to go.
func (l *ledger) makeRoom(i uint32, moves []move) []move {
	l.weigh()
	looked, pushed := 0, 0
	for l.scarce && l.window.used > l.windowMax() {
		old := l.window.oldest
		needed := l.window.used > l.size // else what is in main can be evicted
		if old == i || !needed && (pushed >= pushMost || looked >= lookMost) {
			break
		}
		looked++
		it := l.items.at(old)
		if it.touched.Load() > 0 && looked < lookMost {
			it.touched.Store(0)
			l.window.renew(l.items, old)
			continue
		}
		if needed { // it is not worth being registered before it is evicted
			l.judge.remember(it.id.Load(), byAge)
			moves = append(moves, l.evict(old))
			continue
		}
		moves = l.offer(old, moves)
		pushed++
	}
	return moves
}

// offer sends an item from the window to ristretto, by recency after making room for it: ristretto takes what there is room for.
func (l *ledger) offer(i uint32, moves []move) []move {
	it := l.items.at(i)
	byRecent, trial := l.judge.decide()
	if byRecent {
		moves = l.evictIdle(l.mainMax()-it.cost-mainCost, moves)
	}
	if trial {
		it.tried = l.judge.now()
		it.touched.Store(onTrial)
		l.judge.count(byUse)
	}
	l.window.remove(l.items, i)
	it.where = offered
	it.cost += mainCost
	l.offers += it.cost
	return append(moves, l.register(i))
}

// evictIdle evicts from main what has not been used for longest until it takes no more than limit. Those that were used since it last came by get
// another turn for it, unless too many have got one; while recency counts, one turn however often they were used.
func (l *ledger) evictIdle(limit int64, moves []move) []move {
	for looked := 1; l.main.used+l.offers > limit && l.main.oldest != 0; looked++ {
		i := l.main.oldest
		it := l.items.at(i)
		n := it.touched.Load() &^ onTrial
		if n == 0 || looked >= lookMost {
			l.judge.remember(it.id.Load(), byAge)
			moves = append(moves, l.evict(i))
			looked = 0
			continue
		}
		if l.judge.byRecent {
			n = 1
		}
		it.touched.Store(n - 1)
		l.main.renew(l.items, i)
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
		i := v.ticket.item()
		it := l.items.at(i)
		if v.ticket == 0 || it.ticket != v.ticket.serial() {
			continue
		}
		if it.where == offered {
			it.where = inMain
			l.offers -= it.cost
			l.main.push(l.items, i)
			l.tally.Admitted++
		}
		if it.cost != v.cost {
			moves = append(moves, l.register(i))
		}
	}
	return l.bound(moves)
}

// bound evicts until all is within the size. Ristretto does so for what is new to it once main is full, and not for what grows.
func (l *ledger) bound(moves []move) []move { return l.evictIdle(l.size-l.window.used, moves) }

// evict lets go of an item; the move takes it out of the table.
func (l *ledger) evict(i uint32) move {
	l.tally.Evicted++
	return l.dropped(i)
}

func (l *ledger) dropped(i uint32) move {
	id := l.items.at(i).id.Load()
	return move{id: id, listed: l.drop(i)}
}

// drop stops counting an item and reports whether it was registered with ristretto.
func (l *ledger) drop(i uint32) (listed bool) {
	it := l.items.at(i)
	switch it.where {
	case nowhere:
		return false
	case inWindow:
		l.window.remove(l.items, i)
	case offered:
		l.offers -= it.cost
	case inMain:
		l.main.remove(l.items, i)
	}
	listed = it.where != inWindow
	it.where, it.ticket = nowhere, 0
	l.count--
	return listed
}

// leave is for an item that is being deleted.
func (l *ledger) leave(i uint32) (listed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drop(i)
}

// gone reports whether an item is one that was let go of and has not come back.
func (l *ledger) gone(i uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.items.at(i).where == nowhere
}

// release lets go of an item whose registration has ended, and reports whether it did: if the item has another one by now, it stays.
func (l *ledger) release(t ticket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	it := l.items.at(t.item())
	if it.ticket != t.serial() {
		return false
	}
	l.judge.remember(it.id.Load(), byUse)
	if it.where == offered {
		l.tally.Rejected++
	} else {
		l.tally.Evicted++
	}
	l.drop(t.item())
	return true
}

// expired lets go of those of n items from first on that are past all use at now.
func (l *ledger) expired(first, n uint32, now time.Time) (moves []move) {
	l.mu.Lock()
	defer l.mu.Unlock()
	second := uint32(min(max(now.Unix(), 0), math.MaxUint32))
	for i := first; i < first+n; i++ {
		if it := l.items.at(i); it.where != nowhere && it.expires <= second {
			moves = append(moves, l.dropped(i))
			l.tally.Expired++
		}
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
