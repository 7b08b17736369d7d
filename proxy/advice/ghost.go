package advice

import (
	"container/list"
	"sync"
)

// ghostBytes is the largest size of a simulated cache. For larger caches a sample is simulated.
const ghostBytes = 8 << 20

// Ghost estimates the hit ratio of a cache of half, the same and double the size. It simulates
// caches that hold no content and only a sample of the keys (SHARDS, Waldspurger et al., FAST
// 2015). The hash of the key selects the sample, so it has all uses of a key or none. A cache of
// the sampled share of the size therefore has the same hit ratio on the sample as the whole cache
// on all keys. For a key outside the sample, Use costs one comparison. The simulation evicts the
// least recently used object, which the memory tier does only roughly, so only the differences
// between the three ratios are meaningful.
//
// The main error of a sample is whether it has the few hottest keys. Uses of these are hits at any
// size. Ratios therefore compares the sample's uses with the expected number, and counts the
// difference as hits (SHARDS-adj).
type Ghost struct {
	mask  uint64 // a key is in the sample if all these bits are 0
	mu    sync.Mutex
	sizes [3]shadow
}

// NewGhost returns a Ghost for a cache of size bytes.
func NewGhost(size int64) *Ghost {
	rate := int64(1)
	for size/rate > ghostBytes {
		rate *= 2
	}
	g := &Ghost{mask: uint64(rate - 1)}
	for i, s := range []int64{size / 2, size, 2 * size} {
		g.sizes[i] = newShadow(s / rate)
	}
	return g
}

// Use records a use of an object by the hash of its key. size is the number of bytes of memory that
// it takes, or 0 if unknown.
func (g *Ghost) Use(key uint64, size int64) {
	if key&g.mask != 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.sizes {
		g.sizes[i].use(key, size)
	}
}

// Ratios returns the hit ratios at half, the same and double the size, and the number of uses in
// the sample. total is the number of all uses. Early uses, when the caches were not full, count
// too: a new object is a miss at any size.
func (g *Ghost) Ratios(total uint64) (half, same, double float64, uses uint64) {
	expected := float64(total) / float64(g.mask+1)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sizes[0].ratio(expected), g.sizes[1].ratio(expected), g.sizes[2].ratio(expected), g.sizes[1].uses
}

// Evicts reports whether a cache of the same size would ever have evicted an object.
func (g *Ghost) Evicts() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sizes[1].evicted > 0
}

// shadow is a least-recently-used cache without content. An entry counts at least minObject bytes,
// which bounds the number of entries.
type shadow struct {
	room, used          int64
	order               *list.List // of *mark, the most recently used first
	held                map[uint64]*list.Element
	uses, hits, evicted uint64
}

func newShadow(room int64) shadow {
	return shadow{room: room, order: list.New(), held: make(map[uint64]*list.Element)}
}

type mark struct {
	key  uint64
	size int64
}

// minObject is the least memory that an object takes: its head, key and table entries.
const minObject = 1 << 10

func (s *shadow) use(key uint64, size int64) {
	s.uses++
	if e, ok := s.held[key]; ok {
		s.hits++
		s.order.MoveToFront(e)
		if m := e.Value.(*mark); size > 0 {
			s.used += max(size, minObject) - m.size
			m.size = max(size, minObject)
		}
	} else {
		m := &mark{key, max(size, minObject)}
		s.held[key] = s.order.PushFront(m)
		s.used += m.size
	}
	for s.used > s.room && s.order.Len() > 0 {
		m := s.order.Remove(s.order.Back()).(*mark)
		delete(s.held, m.key)
		s.used -= m.size
		s.evicted++
	}
}

// ratio returns the share of hits, given the expected number of uses in the sample.
func (s *shadow) ratio(expected float64) float64 {
	if expected <= 0 {
		return 0
	}
	return min(1, max(0, (float64(s.hits)+expected-float64(s.uses))/expected))
}
