package store

import "time"

// sweepEvery is how often objects past all use are looked for.
const sweepEvery = time.Second

// move is something that the ledger has decided and that can't be done under its lock.
type move struct {
	id     uint64 // of the item
	ticket ticket // for an offer: the registration; 0: the item is to leave
	cost   int64
	listed bool // a leaving item is registered with ristretto
}

// carryOut does what the ledger has decided. No lock but closing is held: ristretto's goroutine, which may have to make room for us, takes
// a shard's and the ledger's to tell of evictions.
func (m *Memory) carryOut(moves []move) {
	for len(moves) > 0 {
		offered := false
		for _, v := range moves {
			switch {
			case v.ticket == 0:
				m.forget(v)
			case m.main.Set(v.id, v.ticket, v.cost):
				offered = true
			default: // its queue is full
				m.released(v.ticket)
			}
		}
		if !offered {
			return
		}
		// A Put follows an origin's answer: the two microseconds of waiting are not felt, and all that has been offered is either in or out.
		m.main.Wait()
		moves = m.ledger.confirm(moves)
	}
}

// forget takes an item that the ledger has let go of out of the table, unless it has been put again meanwhile.
func (m *Memory) forget(v move) {
	s := m.shard(v.id)
	s.mu.Lock()
	if at := s.index.find(&m.items, v.id); at >= 0 && m.ledger.gone(s.index.slots[at].item()) {
		m.remove(s, at)
	}
	s.mu.Unlock()
	if v.listed {
		m.main.Del(v.id)
	}
}

// released is told by ristretto that it has refused, evicted or replaced a registration. It may run on ristretto's goroutine.
func (m *Memory) released(t ticket) {
	if t == 0 { // Del of what is not there
		return
	}
	// The item may have become another's by now. Then the ticket is not its own, whichever shard this is.
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

// sweep drops what is past all use, a little at a time.
func (m *Memory) sweep() {
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
	expireBatch = 1 << 10 // items that are looked at under one lock
	expireMin   = 64 << 10
	expireLap   = 32 // ticks at most in which all are looked at
)

// expire looks at the next part of the items, all if there are few, and drops those that are past all use.
func (m *Memory) expire() {
	end := m.items.end()
	for range (max(expireMin, end/expireLap) + expireBatch - 1) / expireBatch {
		if !m.expireSome(end) {
			return
		}
	}
}

// expireSome looks at one batch, and reports whether there are more before the end.
func (m *Memory) expireSome(end uint32) (more bool) {
	m.closing.RLock()
	defer m.closing.RUnlock()
	if m.closed {
		return false
	}
	n := min(expireBatch, end-m.cursor)
	m.carryOut(m.ledger.expired(m.cursor, n, m.now()))
	m.clean()
	if m.cursor += n; m.cursor < end {
		return true
	}
	m.cursor = 1
	return false
}
