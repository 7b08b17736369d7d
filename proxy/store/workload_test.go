package store

import (
	"container/list"
	"encoding/binary"
	"math/rand/v2"
)

// workload yields the numbers of the requested objects.
type workload func() uint64

const (
	universe = 1 << 20 // of the full-size run
	shifts   = 10
)

// zipf has a fixed popularity, by a Zipf law with exponent 1.01 over the given number of objects.
func zipf(seed, objects uint64) workload {
	z := rand.NewZipf(rand.New(rand.NewPCG(seed, 1)), 1.01, 1, objects-1)
	return z.Uint64
}

// scanned is zipf in which one request in ten is for an object that is never requested again.
func scanned(seed, objects uint64) workload {
	hot, fresh, n := zipf(seed, objects), uint64(1<<40), 0
	return func() uint64 {
		if n++; n%10 == 0 {
			fresh++
			return fresh
		}
		return hot()
	}
}

// shifting is zipf in which popularity changes ten times within the given number of requests.
func shifting(seed, objects uint64, requests int) workload {
	hot, n := zipf(seed, objects), 0
	return func() uint64 {
		phase := uint64(n * shifts / requests)
		n++
		return hot() + phase<<32
	}
}

// plainLRU is the reference for the store.
type plainLRU struct {
	capacity int
	order    list.List
	at       map[uint64]*list.Element
}

func newPlainLRU(capacity int) *plainLRU {
	return &plainLRU{capacity: capacity, at: make(map[uint64]*list.Element)}
}

func (l *plainLRU) ask(n uint64) bool {
	if e, ok := l.at[n]; ok {
		l.order.MoveToFront(e)
		return true
	}
	if len(l.at) >= l.capacity {
		last := l.order.Back()
		delete(l.at, l.order.Remove(last).(uint64))
	}
	l.at[n] = l.order.PushFront(n)
	return false
}

// scatter hashes n, so that numbers become keys that look like SHA-256.
func scatter(n uint64) (hash [16]byte) {
	for i := range 2 {
		n ^= n >> 30
		n *= 0xbf58476d1ce4e5b9
		n ^= n >> 27
		n *= 0x94d049bb133111eb
		n ^= n >> 31
		binary.LittleEndian.PutUint64(hash[8*i:], n)
		n += 0x9e3779b97f4a7c15
	}
	return hash
}
