package rate

import (
	"hash/maphash"
	"math"
	"sync"
	"time"
)

const (
	// MaxCells is the greatest number of clients that a Table remembers, in 4 MiB.
	MaxCells = shards * maxBuckets * ways

	shards     = 64
	maxBuckets = 512 // of a shard
	ways       = 8   // cells of a bucket
)

// Table remembers the states of clients under a Limit. It starts small, grows with the number of
// clients that are not idle, and never holds more than MaxCells of them.
//
// A client has two buckets in which its cell may be. A new client takes a cell that is empty or
// idle. If both buckets have no such cell and the Table can't grow, the new client takes the cell
// that is nearest to idle of these sixteen. The Table forgets the client of that cell, and treats it
// as idle when it comes back. So forgetting never refuses a client, and gives at most the used part
// of one burst.
//
// A client that has used much of its burst is the last to be forgotten. A flood of new clients
// takes the cells of the flood, which are nearer to idle. To be forgotten, a heavy client needs
// fifteen others in its two buckets that have each used as much as itself, and their places depend
// on a random seed. So an attacker who floods the Table to free a cell sends many times the requests
// that the cell allows.
type Table struct {
	seed   maphash.Seed
	start  time.Time
	shards [shards]shard
}

type shard struct {
	mu      sync.Mutex
	buckets []bucket // their number is 0 or a power of two
	_       [32]byte // so that two shards are not in one cache line
}

// bucket holds cells. A cell without a client has the key 0.
type bucket struct {
	keys [ways]uint64
	idle [ways]int64 // see Limit
}

// emptyBucket has cells that are idle at any time.
var emptyBucket = bucket{idle: [ways]int64{math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64}}

// NewTable returns an empty Table. Its times count from start, so that a clock with a monotonic
// part is read by that part.
func NewTable(start time.Time) *Table { return &Table{seed: maphash.MakeSeed(), start: start} }

// Key identifies a client in one Table.
type Key uint64

// Everybody is the key of all clients that share one cell.
const Everybody Key = 1

// KeyOf returns the key of the client with the given name.
func (t *Table) KeyOf(name string) Key { return Key(maphash.String(t.seed, name)) }

// KeyOfBytes is KeyOf for a name in bytes.
func (t *Table) KeyOfBytes(name []byte) Key { return Key(maphash.Bytes(t.seed, name)) }

// Take charges a client for a request at a time, and reports whether the limit accepts it. A
// refused request is not charged.
func (t *Table) Take(key Key, at time.Time, l Limit) bool {
	now := int64(at.Sub(t.start))
	s, k := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	cell := s.find(k)
	if cell == nil {
		cell = s.claim(k, now)
		*cell = now
	}
	next, ok := l.Take(*cell, now)
	*cell = next
	return ok
}

// State tells how much of a limit a client has left.
type State struct {
	Left int           // requests that would be accepted at once
	Wait time.Duration // until the next request is accepted
}

// Look returns the state of a client at a time. It charges nothing.
func (t *Table) Look(key Key, at time.Time, l Limit) State {
	now := int64(at.Sub(t.start))
	s, k := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	idle := now
	if cell := s.find(k); cell != nil {
		idle = *cell
	}
	return State{l.Left(idle, now), l.Wait(idle, now)}
}

// shard returns the shard of a key, and the key under which the shard knows it.
func (t *Table) shard(key Key) (*shard, uint64) {
	return &t.shards[key>>58], max(uint64(key), 1)
}

// places returns the two buckets in which a key may be. They may be the same.
func (s *shard) places(key uint64) [2]*bucket {
	mask := uint64(len(s.buckets) - 1)
	return [2]*bucket{&s.buckets[key&mask], &s.buckets[key>>20&mask]}
}

// find returns the stored time of a client, or nil if the shard does not know the client.
func (s *shard) find(key uint64) *int64 {
	if len(s.buckets) == 0 {
		return nil
	}
	for _, b := range s.places(key) {
		for i := range b.keys {
			if b.keys[i] == key {
				return &b.idle[i]
			}
		}
	}
	return nil
}

// claim gives a new client a cell.
func (s *shard) claim(key uint64, now int64) *int64 {
	for {
		if len(s.buckets) > 0 {
			b, i := s.nearest(key, now)
			if b.idle[i] <= now || len(s.buckets) == maxBuckets {
				b.keys[i] = key
				return &b.idle[i]
			}
		}
		s.grow(now)
	}
}

// nearest returns the cell for a new key that is nearest to idle, in the bucket that has more idle
// cells, so that both fill evenly. A cell without a client is idle.
func (s *shard) nearest(key uint64, now int64) (at *bucket, way int) {
	most := -1
	for _, b := range s.places(key) {
		i, idle := b.nearest(now)
		if idle > most || idle == most && b.idle[i] < at.idle[way] {
			at, way, most = b, i, idle
		}
	}
	return at, way
}

// nearest returns the cell of b that is nearest to idle, and the number of idle cells.
func (b *bucket) nearest(now int64) (way, idle int) {
	for i := range b.idle {
		if b.idle[i] <= now {
			idle++
		}
		if b.idle[i] < b.idle[way] {
			way = i
		}
	}
	return way, idle
}

// grow doubles the number of buckets, and drops idle clients.
func (s *shard) grow(now int64) {
	old := s.buckets
	s.buckets = make([]bucket, max(1, 2*len(old)))
	for i := range s.buckets {
		s.buckets[i] = emptyBucket
	}
	for i := range old {
		for j, key := range old[i].keys {
			if idle := old[i].idle[j]; idle > now {
				if b, way := s.nearest(key, now); b.idle[way] < idle {
					b.keys[way], b.idle[way] = key, idle
				}
			}
		}
	}
}
