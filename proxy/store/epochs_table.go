package store

import (
	"strings"
	"time"
)

// blow is one purge as a single target gets it.
type blow struct {
	seq   uint64
	soft  bool
	at    time.Time
	noted time.Time // when this instance learned of it
}

// mark is what is remembered of the purges of one target: the newest of each kind.
type mark struct {
	hard, soft uint64 // 0: none
	softAt     time.Time
}

func (m *mark) strike(b blow) {
	switch {
	case !b.soft:
		m.hard = max(m.hard, b.seq)
	case b.seq > m.soft:
		m.soft, m.softAt = b.seq, b.at
	}
}

func (m *mark) merge(n *mark) {
	m.hard = max(m.hard, n.hard)
	if n.soft > m.soft {
		m.soft, m.softAt = n.soft, n.softAt
	}
}

// trial is the judging of one response.
type trial struct {
	born  uint64
	hard  bool
	soft  bool
	since time.Time
}

// face compares with one mark.
func (t *trial) face(m *mark) {
	if m.hard > t.born {
		t.hard = true
	}
	if m.soft > t.born {
		if !t.soft || m.softAt.Before(t.since) {
			t.since = m.softAt
		}
		t.soft = true
	}
}

func (t *trial) fate() (Fate, time.Time) {
	switch {
	case t.hard:
		return Hard, time.Time{}
	case t.soft:
		return Soft, t.since
	}
	return Alive, time.Time{}
}

// floorCells is how many floors a table has.
const floorCells = 1 << 12

// table remembers the marks of one kind of target, up to a number of them. For room, the one that was struck longest ago is forgotten and raises
// a floor: all that was born before that purge and shares the target's cell counts as hit by it, since it may have been. So a table that is full
// loses a 4096th of what is older than its memory with each new target, and serves nothing wrong.
type table[K comparable] struct {
	most   int
	marks  map[K]*marked[K]
	root   marked[K] // of a ring; root.next was struck last, root.prev longest ago
	floors [floorCells]mark
}

// marked is a mark and its place in the order.
type marked[K comparable] struct {
	mark
	key        K
	cell       uint16
	noted      time.Time
	prev, next *marked[K]
}

func (t *table[K]) init(most int) {
	t.most = most
	t.marks = make(map[K]*marked[K])
	t.root.prev, t.root.next = &t.root, &t.root
	t.floors = [floorCells]mark{}
}

// strike marks k. It reports whether k was not marked before, and which other target was forgotten for it.
func (t *table[K]) strike(k K, cell uint16, b blow) (isNew bool, forgotten K, full bool) {
	m := t.marks[k]
	if m == nil {
		isNew = true
		if len(t.marks) >= t.most {
			old := t.root.prev
			t.floors[old.cell].merge(&old.mark)
			t.remove(old)
			forgotten, full = old.key, true
		}
		m = &marked[K]{key: k, cell: cell}
		t.marks[k] = m
	} else {
		m.unlink()
	}
	m.mark.strike(b)
	m.noted = b.noted
	m.prev, m.next = &t.root, t.root.next
	m.prev.next, m.next.prev = m, m
	return isNew, forgotten, full
}

func (m *marked[K]) unlink() { m.prev.next, m.next.prev = m.next, m.prev }

func (t *table[K]) remove(m *marked[K]) {
	m.unlink()
	delete(t.marks, m.key)
}

// forget drops the marks that were struck last before then, without a floor.
func (t *table[K]) forget(then time.Time) {
	for m := t.root.prev; m != &t.root && m.noted.Before(then); m = t.root.prev {
		t.remove(m)
	}
}

// look compares with the mark of k.
func (t *table[K]) look(tr *trial, k K) {
	if len(t.marks) == 0 {
		return
	}
	if m := t.marks[k]; m != nil {
		tr.face(&m.mark)
	}
}

// confront compares with the mark of k, whose spelling as a target's value is the parts, and with the floor of its cell.
func (t *table[K]) confront(tr *trial, k K, parts ...string) {
	t.confrontCell(tr, k, cellOf(parts...))
}

func (t *table[K]) confrontCell(tr *trial, k K, cell uint16) {
	t.look(tr, k)
	tr.face(&t.floors[cell])
}

// Cell is the one of 4096 floors that t raises when it is forgotten. It is the same in all instances.
func (t Target) Cell() uint16 {
	switch t.Kind {
	case TargetAll, TargetPrefix:
		return 0 // what has a prefix can't be told when the prefix is not known
	case TargetObject:
		object, _ := objectOf(t.Value)
		return objectCell(object)
	case TargetURL:
		u := cutURL(t.Value)
		return cellOf(u.host, u.path, "?", u.query)
	}
	return cellOf(t.Value)
}

// cellOf folds FNV-1a of the parts.
func cellOf(parts ...string) uint16 {
	h := uint32(2166136261)
	for _, p := range parts {
		for i := range len(p) {
			h = (h ^ uint32(p[i])) * 16777619
		}
	}
	return uint16(h^h>>12^h>>24) % floorCells
}

func objectCell(object [16]byte) uint16 {
	return (uint16(object[8])<<8 | uint16(object[9])) % floorCells
}

// cutHost splits a prefix, whose host may be missing.
func cutHost(value string) hostPath {
	slash := strings.IndexByte(value, '/')
	return hostPath{value[:slash], value[slash:]}
}

func cutURL(value string) hostPathQuery {
	p := cutHost(value)
	path, query, _ := strings.Cut(p.path, "?")
	return hostPathQuery{p.host, path, query}
}
