package store

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
)

// maxEras is how many eras are known by numbers. There is a new one when the history of purges is lost, which is rare.
const maxEras = 100

// eras numbers the eras that are in records: nearly all of them have the same.
type eras struct {
	mu   sync.Mutex
	list atomic.Pointer[[]uint64]
}

// number is that of an era, from 1 on; 0 when there are too many.
func (e *eras) number(era uint64) int {
	if list := e.list.Load(); list != nil {
		if i := slices.Index(*list, era); i >= 0 {
			return i + 1
		}
	}
	return e.add(era)
}

func (e *eras) add(era uint64) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []uint64
	if old := e.list.Load(); old != nil {
		list = *old
	}
	if i := slices.Index(list, era); i >= 0 {
		return i + 1
	}
	if len(list) == maxEras {
		return 0
	}
	list = append(slices.Clip(list), era)
	e.list.Store(&list)
	return len(list)
}

// append appends the number of an era, or 0 and the era.
func (e *eras) append(dst []byte, era uint64) []byte {
	n := e.number(era)
	dst = append(dst, byte(n))
	if n == 0 {
		dst = binary.AppendUvarint(dst, era)
	}
	return dst
}

func (e *eras) read(r *reader) uint64 {
	if n := r.byte(); n > 0 {
		return (*e.list.Load())[n-1]
	}
	return r.uint()
}
