package store

import (
	"sync"
	"sync/atomic"
)

// slab holds values that are named by numbers instead of pointers, so that the garbage collector
// does not scan a table of millions of them. The number 0 names no value. The slab does not guard
// the values; its users do.
type slab[T any] struct {
	bits   uint // bits of a number that select the value within a block
	blocks atomic.Pointer[[][]T]

	mu   sync.Mutex
	next uint32
	free []uint32
}

func (s *slab[T]) init(bits uint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bits, s.next, s.free = bits, 1, nil
	s.blocks.Store(new([][]T))
}

// at returns the value that i names. The value never moves.
func (s *slab[T]) at(i uint32) *T {
	return &(*s.blocks.Load())[i>>s.bits][i&(1<<s.bits-1)]
}

// take returns the number of a free value. The value may still hold the data of its last owner.
func (s *slab[T]) take() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	i := s.next
	s.next++
	if blocks := *s.blocks.Load(); int(i>>s.bits) >= len(blocks) {
		// A reader of the old list does not look beyond its length.
		blocks = append(blocks, make([]T, 1<<s.bits))
		s.blocks.Store(&blocks)
	}
	return i
}

// give frees the value i.
func (s *slab[T]) give(i uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, i)
}

// end returns a number above every number that take has returned.
func (s *slab[T]) end() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}
