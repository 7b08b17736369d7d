package store

import "time"

// sweepEvery is the interval between two searches for expired objects.
const sweepEvery = time.Second

// action is a decision of the ledger that can't be carried out under its lock: an offer to
// ristretto or an eviction.
type action struct {
	id         uint64 // of the item
	ticket     ticket // for an offer, the registration; for an eviction, 0
	cost       int64
	registered bool // for an eviction, whether the item is registered with ristretto
}

// apply carries out the ledger's decisions. The caller must hold no lock except closing: to admit
// an object, ristretto's goroutine may evict others, and its notices take the lock of a shard and
// that of the ledger.
func (m *Memory) apply(pending []action) {
	for len(pending) > 0 {
		offered := false
		for _, v := range pending {
			switch {
			case v.ticket == 0:
				m.removeEvicted(v)
			case m.main.Set(v.id, v.ticket, v.cost):
				offered = true
			default: // ristretto's queue is full
				m.registrationEnded(v.ticket)
			}
		}
		if !offered {
			return
		}
		// Wait makes sure that every offer is either admitted or refused. It takes about two
		// microseconds, which do not matter because a Put follows an origin response.
		m.main.Wait()
		pending = m.ledger.confirm(pending)
	}
}

// removeEvicted removes an evicted item from the table, unless it has been stored again meanwhile.
func (m *Memory) removeEvicted(v action) {
	s := m.shard(v.id)
	s.mu.Lock()
	if at := s.index.find(&m.items, v.id); at >= 0 && m.ledger.isDropped(s.index.slots[at].item()) {
		m.remove(s, at)
	}
	s.mu.Unlock()
	if v.registered {
		m.main.Del(v.id)
	}
}

// registrationEnded is ristretto's notice that it has refused, evicted or replaced a registration.
// It may run on ristretto's goroutine.
func (m *Memory) registrationEnded(t ticket) {
	if t == 0 { // Del of an unregistered item
		return
	}
	// The item may belong to another object by now. If so, the ticket is out of date, and the
	// choice of the shard does not matter.
	id := m.items.at(t.item()).id.Load()
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !m.ledger.release(t) {
		return
	}
	if at := s.index.find(&m.items, id); at >= 0 && s.index.slots[at].item() == t.item() {
		m.remove(s, at)
	}
}

// sweepLoop removes expired objects, a part of the items at each tick, until Close.
func (m *Memory) sweepLoop() {
	defer close(m.swept)
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-tick.C:
			m.expire()
		}
	}
}

const (
	expireBatch = 1 << 10 // items inspected under one lock
	expireMin   = 64 << 10
	expireLap   = 32 // maximum number of ticks for a full pass
)

// expire inspects the next part of the items, or all of them if there are few, and removes the
// expired ones.
func (m *Memory) expire() {
	end := m.items.end()
	for range (max(expireMin, end/expireLap) + expireBatch - 1) / expireBatch {
		if !m.expireSome(end) {
			return
		}
	}
}

// expireSome inspects one batch, and reports whether there are more items before end.
func (m *Memory) expireSome(end uint32) (more bool) {
	m.closing.RLock()
	defer m.closing.RUnlock()
	if m.closed {
		return false
	}
	n := min(expireBatch, end-m.cursor)
	m.apply(m.ledger.expired(m.cursor, n, m.now()))
	m.compact()
	if m.cursor += n; m.cursor < end {
		return true
	}
	m.cursor = 1
	return false
}
