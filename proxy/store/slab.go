package store

import (
	"sync"
	"sync/atomic"
)

// slab holds values that are named by numbers instead of pointers, so that a table of millions of them is nothing to the garbage collector. 0 names
// none. The values themselves are guarded by whoever uses them.
type slab[T any] struct {
	bits   uint // of the place in a block
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

// at is the value that i names. It stays where it is.
func (s *slab[T]) at(i uint32) *T {
	return &(*s.blocks.Load())[i>>s.bits][i&(1<<s.bits-1)]
}

// take names a value that nobody has. It may hold what its last owner left there.
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
		// Those who look at the old list don't see beyond its length.
		blocks = append(blocks, make([]T, 1<<s.bits))
		s.blocks.Store(&blocks)
	}
	return i
}

// give takes i back.
func (s *slab[T]) give(i uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, i)
}

// end is above every number that has been taken.
func (s *slab[T]) end() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}
