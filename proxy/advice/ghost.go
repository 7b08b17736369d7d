package advice

import (
	"container/list"
	"sync"
)

// ghostBytes is the size of the largest sampled cache per size of one: what is above is brought down to it by sampling.
const ghostBytes = 8 << 20

// Ghost estimates the hit ratio of a cache of half, the same and double the size, by caches that hold no content and only a sample of the keys (SHARDS,
// Waldspurger et al., FAST 2015). The sample is by the hash of the key: all uses of a key are in it, or none, so that a cache of the sampled share of the size
// hits as often among them as the whole does among all. A key that is not in the sample costs one comparison. What it holds is least recently used,
// which is not quite what the memory tier does: the differences between the three are what counts.
//
// What makes a sample of keys err is whether the few hottest are in it. They are hits at any size, so what the sample has too few or too many of uses, as the
// number of all uses tells, is taken for hits (SHARDS-adj).
type Ghost struct {
	mask  uint64 // keys with none of these bits are in the sample
	mu    sync.Mutex
	sizes [3]shadow
}

// NewGhost makes a Ghost for a cache of size bytes.
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

// Use takes note of a use of an object by the hash of its key; size is what it takes in memory, 0 where that is not known.
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

// Ratios are the shares of all uses, of which there were total, that would have been hits at half, the same and double the size, and how many uses the
// sample has. Uses from before the caches were full are among them: what is new is a miss at every size.
func (g *Ghost) Ratios(total uint64) (half, same, double float64, uses uint64) {
	expected := float64(total) / float64(g.mask+1)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sizes[0].ratio(expected), g.sizes[1].ratio(expected), g.sizes[2].ratio(expected), g.sizes[1].uses
}

// Evicts reports whether a cache of the size has ever had to make room.
func (g *Ghost) Evicts() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sizes[1].evicted > 0
}

// shadow is a least recently used cache without content. Each entry counts with at least minObject, which bounds how many there are.
type shadow struct {
	room, used          int64
	order               *list.List // of *mark, the last used first
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

// minObject is what an object takes at least: its head, key and places in tables.
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

// ratio is the share of hits, where expected uses were to be in the sample.
func (s *shadow) ratio(expected float64) float64 {
	if expected <= 0 {
		return 0
	}
	return min(1, max(0, (float64(s.hits)+expected-float64(s.uses))/expected))
}
