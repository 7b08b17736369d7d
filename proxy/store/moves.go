package store

import "time"

// sweepEvery is how often objects past all use are looked for.
const sweepEvery = time.Second

// move is something that the ledger has decided and that can't be done under its lock.
type move struct {
	item   *item
	ticket *ticket // for an offer: the registration; nil: the item is to leave
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
			case v.ticket == nil:
				m.forget(v)
			case m.main.Set(v.item.id, v.ticket, v.cost):
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
	s := m.shard(v.item.id)
	s.mu.Lock()
	if m.ledger.gone(v.item) && s.items[v.item.id] == v.item {
		delete(s.items, v.item.id)
	}
	s.mu.Unlock()
	if v.listed {
		m.main.Del(v.item.id)
	}
}

// released is told by ristretto that it has refused, evicted or replaced a registration. It runs on ristretto's goroutine.
func (m *Memory) released(t *ticket) {
	if t == nil { // Del of what is not there
		return
	}
	s := m.shard(t.item.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.ledger.release(t) && s.items[t.item.id] == t.item {
		delete(s.items, t.item.id)
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

// expire drops all that is past all use by now, in batches between which others get the lock.
func (m *Memory) expire() {
	for m.expireSome() {
	}
}

func (m *Memory) expireSome() (more bool) {
	m.closing.RLock()
	defer m.closing.RUnlock()
	if m.closed {
		return false
	}
	moves := m.ledger.expired(m.now())
	m.carryOut(moves)
	return len(moves) > 0
}
