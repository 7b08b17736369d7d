package store

import (
	"strings"
	"time"
)

// purgeEvent is one purge as recorded for a single target.
type purgeEvent struct {
	seq   uint64
	soft  bool
	at    time.Time
	noted time.Time // when this instance learned of the purge
}

// lastPurges holds the newest hard purge and the newest soft purge of a target.
type lastPurges struct {
	hard, soft uint64 // 0 if there was none
	softAt     time.Time
}

func (m *lastPurges) record(b purgeEvent) {
	switch {
	case !b.soft:
		m.hard = max(m.hard, b.seq)
	case b.seq > m.soft:
		m.soft, m.softAt = b.seq, b.at
	}
}

func (m *lastPurges) merge(n *lastPurges) {
	m.hard = max(m.hard, n.hard)
	if n.soft > m.soft {
		m.soft, m.softAt = n.soft, n.softAt
	}
}

// verdict collects the purges that hit one response.
type verdict struct {
	born  uint64
	hard  bool
	soft  bool
	since time.Time
}

// compare adds the purges in m that are newer than the response.
func (t *verdict) compare(m *lastPurges) {
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

func (t *verdict) fate() (Fate, time.Time) {
	switch {
	case t.hard:
		return Hard, time.Time{}
	case t.soft:
		return Soft, t.since
	}
	return Alive, time.Time{}
}

// floorCells is the number of floors of a table.
const floorCells = 1 << 12

// table remembers the newest purges of each target of one kind, up to a limit. If it is full, it
// forgets the target that was purged longest ago and raises the floor of that target's cell to the
// forgotten purge. A response counts as hit if it was fetched before the floor of its cell, since
// the forgotten purge may have hit it. So with each new target a full table loses a 4096th of the
// responses that are older than its memory, and it never serves a purged response.
type table[K comparable] struct {
	most    int
	entries map[K]*tableEntry[K]
	root    tableEntry[K] // of a ring: root.next was purged last, root.prev longest ago
	floors  [floorCells]lastPurges
}

// tableEntry holds the newest purges of a target, and its place in the ring.
type tableEntry[K comparable] struct {
	lastPurges
	key        K
	cell       uint16
	noted      time.Time
	prev, next *tableEntry[K]
}

func (t *table[K]) init(most int) {
	t.most = most
	t.entries = make(map[K]*tableEntry[K])
	t.root.prev, t.root.next = &t.root, &t.root
	t.floors = [floorCells]lastPurges{}
}

// record adds a purge of k. It reports whether k is a new entry, and which other target was
// forgotten if the table was full.
func (t *table[K]) record(k K, cell uint16, b purgeEvent) (isNew bool, forgotten K, full bool) {
	m := t.entries[k]
	if m == nil {
		isNew = true
		if len(t.entries) >= t.most {
			old := t.root.prev
			t.floors[old.cell].merge(&old.lastPurges)
			t.remove(old)
			forgotten, full = old.key, true
		}
		m = &tableEntry[K]{key: k, cell: cell}
		t.entries[k] = m
	} else {
		m.unlink()
	}
	m.lastPurges.record(b)
	m.noted = b.noted
	m.prev, m.next = &t.root, t.root.next
	m.prev.next, m.next.prev = m, m
	return isNew, forgotten, full
}

func (m *tableEntry[K]) unlink() { m.prev.next, m.next.prev = m.next, m.prev }

func (t *table[K]) remove(m *tableEntry[K]) {
	m.unlink()
	delete(t.entries, m.key)
}

// forget removes the entries that were last purged before then. It raises no floor.
func (t *table[K]) forget(then time.Time) {
	for m := t.root.prev; m != &t.root && m.noted.Before(then); m = t.root.prev {
		t.remove(m)
	}
}

// checkEntry applies the purges of k.
func (t *table[K]) checkEntry(tr *verdict, k K) {
	if len(t.entries) == 0 {
		return
	}
	if m := t.entries[k]; m != nil {
		tr.compare(&m.lastPurges)
	}
}

// check applies the purges of k and the floor of its cell. The parts make up k in the form of a
// target's value.
func (t *table[K]) check(tr *verdict, k K, parts ...string) {
	t.checkCell(tr, k, cellOf(parts...))
}

func (t *table[K]) checkCell(tr *verdict, k K, cell uint16) {
	t.checkEntry(tr, k)
	tr.compare(&t.floors[cell])
}

// Cell returns the number of the floor that is raised when a table forgets t. All instances compute
// the same number.
func (t Target) Cell() uint16 {
	switch t.Kind {
	case TargetAll, TargetPrefix:
		return 0 // a response can't tell which forgotten prefixes match it, so all share a floor
	case TargetObject:
		object, _ := objectOf(t.Value)
		return objectCell(object)
	case TargetURL:
		u := cutURL(t.Value)
		return cellOf(u.host, u.path, "?", u.query)
	}
	return cellOf(t.Value)
}

// cellOf hashes the parts with FNV-1a and folds the hash to a cell.
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

// cutHost splits a prefix into host and path. The host may be empty.
func cutHost(value string) hostPath {
	slash := strings.IndexByte(value, '/')
	return hostPath{value[:slash], value[slash:]}
}

func cutURL(value string) hostPathQuery {
	p := cutHost(value)
	path, query, _ := strings.Cut(p.path, "?")
	return hostPathQuery{p.host, path, query}
}
