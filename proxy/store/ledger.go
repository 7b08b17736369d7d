package store

import (
	"math"
	"sync"
	"time"
)

// place is the part of the store to which an item belongs.
type place uint8

const (
	nowhere  place = iota // not counted
	inWindow              // in the recency window
	offered               // on its way from the window to ristretto
	inMain                // admitted by ristretto
)

const (
	// windowShare is the recency window's part of the bytes, in percent.
	windowShare = 20
	maxUses     = 3
	onProbation = 1 << 8 // in item.touched: the ledger must be told of the next use

	// pushMost is the maximum number of objects that one arrival pushes out of the window beyond
	// the room that it needs. lookMost is the maximum number of objects that it inspects, in the
	// window and for each eviction from main. Without these limits an arrival could have to wait
	// until it has gone through all recently used objects.
	pushMost = 16
	lookMost = 64
	// ampleShare is the usage, in percent of the size, below which the window is unbounded again.
	ampleShare = 75
)

// ledger accounts for the bytes: the place and cost of each item, and the choice of evictions. Its
// lock is taken after a shard's, never before.
//
// As long as all objects fit, the window is unbounded and holds every object. There is no choice to
// make then, and registering each object with ristretto would take more memory than all other
// bookkeeping of the object. The window becomes bounded when the store first exceeds its size, and
// hands its excess to main little by little.
type ledger struct {
	mu      sync.Mutex
	items   *slab[item]
	size    int64
	window  queue
	main    queue
	offers  int64 // cost of the items on offer
	count   int64
	bounded bool   // true if not all objects fit, so that the window is bounded
	serial  uint32 // of the last registration
	policy  policy
	counts  Stats
}

func (l *ledger) init(size, objects int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size = size
	l.policy.init(size, objects)
	l.window, l.main = queue{}, queue{}
	l.offers, l.count, l.bounded = 0, 0, false
}

func (l *ledger) windowMax() int64 { return l.size / 100 * windowShare }
func (l *ledger) mainMax() int64   { return l.size - l.windowMax() }
func (l *ledger) used() int64      { return l.window.used + l.main.used + l.offers }

// updatePressure decides whether the window must be bounded. It turns bounding on if the store
// exceeds its size, and off only if usage falls below ampleShare, so that a few evictions do not
// make it flap.
func (l *ledger) updatePressure() {
	switch used := l.used(); {
	case used > l.size:
		l.bounded = true
	case used < l.size/100*ampleShare:
		l.bounded = false
	}
}

// enter counts an item that is new or has changed, and returns the actions that make room for it.
func (l *ledger) enter(i uint32, cost int64, expires time.Time) []action {
	l.mu.Lock()
	defer l.mu.Unlock()
	var pending []action
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
	case offered: // confirm will tell ristretto the new cost
		l.offers += cost - it.cost
		it.cost = cost
	case inMain:
		l.main.used += cost - it.cost
		if it.cost != cost {
			it.cost = cost
			pending = append(pending, l.register(i))
		}
		l.main.renew(l.items, i)
	}
	it.expires = upToSecond(expires)
	pending = l.makeRoom(i, pending)
	if len(pending) == 0 || l.main.used+l.offers <= l.mainMax() { // otherwise confirm enforces the size, after ristretto has decided on the offers
		pending = l.enforceSize(pending)
	}
	return pending
}

// upToSecond returns t in seconds since 1970, rounded up.
func upToSecond(t time.Time) uint32 {
	return uint32(min(max(t.Add(time.Second-1).Unix(), 0), math.MaxUint32))
}

func (l *ledger) add(i uint32) {
	it := l.items.at(i)
	it.where = inWindow
	l.window.push(l.items, i)
	l.policy.recordArrival(it.id.Load(), it.cost)
	l.count++
}

// register gives an item a new registration with ristretto.
func (l *ledger) register(i uint32) action {
	if l.serial++; l.serial == 0 {
		l.serial = 1
	}
	it := l.items.at(i)
	it.ticket = l.serial
	return action{id: it.id.Load(), ticket: ticketOf(i, it.ticket), cost: it.cost}
}

// makeRoom pushes the oldest items out of a window that exceeds its bound: as many as the size
// requires, and up to pushMost more. If an item was used, it gets another turn, unless lookMost
// items have been inspected. Item i, which has just arrived, is never pushed out.
func (l *ledger) makeRoom(i uint32, pending []action) []action {
	l.updatePressure()
	looked, pushed := 0, 0
	for l.bounded && l.window.used > l.windowMax() {
		old := l.window.oldest
		needed := l.window.used > l.size // otherwise items in main can be evicted instead
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
		if needed { // registering an item only to evict it is not worthwhile
			l.policy.recordLoss(it.id.Load(), byRecency)
			pending = append(pending, l.evict(old))
			continue
		}
		pending = l.offer(old, pending)
		pushed++
	}
	return pending
}

// offer sends an item from the window to ristretto. If recency applies, it first makes room in
// main, because ristretto admits everything that fits.
func (l *ledger) offer(i uint32, pending []action) []action {
	it := l.items.at(i)
	preferRecency, probation := l.policy.decide()
	if preferRecency {
		pending = l.evictIdle(l.mainMax()-it.cost-mainCost, pending)
	}
	if probation {
		it.probationStart = l.policy.now()
		it.touched.Store(onProbation)
		l.policy.count(byFrequency)
	}
	l.window.remove(l.items, i)
	it.where = offered
	it.cost += mainCost
	l.offers += it.cost
	return append(pending, l.register(i))
}

// evictIdle evicts the least recently used items of main until main takes at most limit bytes. An
// item gets another turn for each use since its last turn, and only one turn in total if recency
// applies. After lookMost turns in a row, the next item is evicted even if it was used.
func (l *ledger) evictIdle(limit int64, pending []action) []action {
	for looked := 1; l.main.used+l.offers > limit && l.main.oldest != 0; looked++ {
		i := l.main.oldest
		it := l.items.at(i)
		n := it.touched.Load() &^ onProbation
		if n == 0 || looked >= lookMost {
			l.policy.recordLoss(it.id.Load(), byRecency)
			pending = append(pending, l.evict(i))
			looked = 0
			continue
		}
		if l.policy.preferRecency {
			n = 1
		}
		it.touched.Store(n - 1)
		l.main.renew(l.items, i)
	}
	return pending
}

// usedOnProbation records the use of an item on probation.
func (l *ledger) usedOnProbation(it *item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.policy.usedOnProbation(it.probationStart)
}

// confirm moves the offers that ristretto has not refused to main. It returns further actions: new
// registrations of items whose cost has changed meanwhile, and evictions if growing updates have
// broken the bound of the whole.
func (l *ledger) confirm(done []action) (pending []action) {
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
			l.counts.Admitted++
		}
		if it.cost != v.cost {
			pending = append(pending, l.register(i))
		}
	}
	return l.enforceSize(pending)
}

// enforceSize evicts until the store fits its size. Ristretto bounds what it admits, but not the
// growth of items that it has already admitted.
func (l *ledger) enforceSize(pending []action) []action {
	return l.evictIdle(l.size-l.window.used, pending)
}

// evict drops an item as evicted, and returns the action that removes it from the table.
func (l *ledger) evict(i uint32) action {
	l.counts.Evicted++
	return l.dropAction(i)
}

func (l *ledger) dropAction(i uint32) action {
	id := l.items.at(i).id.Load()
	return action{id: id, registered: l.dropLocked(i)}
}

// dropLocked stops counting an item, and reports whether it was registered with ristretto.
func (l *ledger) dropLocked(i uint32) (registered bool) {
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
	registered = it.where != inWindow
	it.where, it.ticket = nowhere, 0
	l.count--
	return registered
}

// drop is dropLocked for an item that is being deleted.
func (l *ledger) drop(i uint32) (registered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropLocked(i)
}

// isDropped reports whether an item was dropped and has not been stored again.
func (l *ledger) isDropped(i uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.items.at(i).where == nowhere
}

// release drops an item whose registration has ended, and reports whether it did. If the item has
// another registration by now, it stays.
func (l *ledger) release(t ticket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	it := l.items.at(t.item())
	if it.ticket != t.serial() {
		return false
	}
	l.policy.recordLoss(it.id.Load(), byFrequency)
	if it.where == offered {
		l.counts.Rejected++
	} else {
		l.counts.Evicted++
	}
	l.dropLocked(t.item())
	return true
}

// expired drops the expired ones among the n items from first on, and returns the actions that
// remove them.
func (l *ledger) expired(first, n uint32, now time.Time) (pending []action) {
	l.mu.Lock()
	defer l.mu.Unlock()
	second := uint32(min(max(now.Unix(), 0), math.MaxUint32))
	for i := first; i < first+n; i++ {
		if it := l.items.at(i); it.where != nowhere && it.expires <= second {
			pending = append(pending, l.dropAction(i))
			l.counts.Expired++
		}
	}
	return pending
}

func (l *ledger) stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.counts
	s.Objects, s.Bytes = l.count, l.used()
	return s
}
