package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/penstock/penstock/cachepolicy"
)

// MemoryConfig says how large a Memory may be.
type MemoryConfig struct {
	Size      int64            // bytes that all objects together may take, as counted by the store
	MaxObject int64            // bytes of the largest body that is taken; 0: an eighth of Size
	Objects   int64            // about how many objects Size has room for, to size the frequency sketch; 0: Size by 8 KiB
	Now       func() time.Time // nil: time.Now
}

// Stats is what a Memory has done and holds.
type Stats struct {
	Objects  int64 // held now
	Bytes    int64 // they take
	Hits     int64 // Gets that found their object
	Misses   int64 // Gets that did not
	Admitted int64 // objects that came from the recency window into the main store
	Rejected int64 // objects that left the window and were not taken by the main store
	Evicted  int64 // objects that made room for others, in whichever part
	Expired  int64 // objects that were past all use
}

// ErrClosed is returned by a store's methods after its Close.
var ErrClosed = errors.New("store: closed")

const (
	shardCount = 256
	// wholeShare is the part of Size that one object with all its variants may take: one answer can't push out all others.
	wholeShare = 8
	minSize    = 64 << 10
)

// Memory is the tier within the process.
//
// A table of its own, in shards, is the truth: what it points to is found, what it does not is gone. A change of an object happens under the lock
// of its shard, so changes of one key have an order, Get sees a Put as soon as that returns, and after Delete nothing older comes back: a Put
// that comes before it in that order is deleted, one that comes after it stays and holds nothing of what was deleted.
//
// What may stay is decided around the table. New objects enter a recency window; what is pushed out of it is offered to ristretto, whose TinyLFU policy
// admits or refuses it and evicts others; whatever ristretto lets go of leaves the table. The ledger keeps both in bounds of bytes. Ristretto
// alone would not do: its Set is asynchronous, its Del leaves room for old values to come back, an update may outgrow its bounds, and its hit ratio
// falls far behind LRU's when what is popular changes.
type Memory struct {
	now       func() time.Time
	maxObject int64
	maxWhole  int64
	shards    [shardCount]shard
	ledger    ledger
	main      *ristretto.Cache[uint64, *ticket]

	closing sync.RWMutex // held for reading by whoever may send to ristretto, which must not be closed then
	closed  bool
	stop    chan struct{}
	swept   chan struct{}
}

// shard is a part of the table.
type shard struct {
	mu     sync.RWMutex
	items  map[uint64]*item
	closed bool
	hits   atomic.Int64
	misses atomic.Int64
	_      [8]byte // to the end of the cache line
}

// item is the table's place for an object. There is one per first half of the keys' hashes, as in ristretto: of two keys that share it, which
// only an attacker will find, the later takes the place of the earlier.
type item struct {
	id      uint64
	object  atomic.Pointer[Object]
	touched atomic.Uint32 // uses since the ledger looked last, up to maxUses; or onTrial

	record // the ledger's
}

// ticket is one registration of an item with ristretto. An item that is registered anew has a new one, so that word of the end of an old
// registration is told from that of the current one.
type ticket struct{ item *item }

// NewMemory returns an empty store. Close ends its goroutines.
func NewMemory(c MemoryConfig) (*Memory, error) {
	if c.Size < minSize {
		return nil, fmt.Errorf("store: memory of %d bytes is too small, it takes at least %d", c.Size, minSize)
	}
	m := &Memory{
		now:       c.Now,
		maxObject: c.MaxObject,
		maxWhole:  c.Size / wholeShare,
		stop:      make(chan struct{}),
		swept:     make(chan struct{}),
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.maxObject <= 0 {
		m.maxObject = m.maxWhole
	}
	m.maxWhole = min(max(m.maxWhole, 2*m.maxObject), c.Size/2)
	for i := range m.shards {
		m.shards[i].items = make(map[uint64]*item)
	}
	if c.Objects <= 0 {
		c.Objects = max(c.Size/(8<<10), 1<<10)
	}
	m.ledger.init(c.Size, c.Objects)
	var err error
	if m.main, err = m.newMain(c); err != nil {
		return nil, fmt.Errorf("store: memory: %w", err)
	}
	go m.sweep()
	return m, nil
}

func (m *Memory) newMain(c MemoryConfig) (*ristretto.Cache[uint64, *ticket], error) {
	return ristretto.NewCache(&ristretto.Config[uint64, *ticket]{
		NumCounters:        10 * c.Objects,
		MaxCost:            m.ledger.mainMax(),
		BufferItems:        64,
		IgnoreInternalCost: true, // it is part of objectCost
		KeyToHash:          func(id uint64) (uint64, uint64) { return id, 0 },
		OnExit:             m.released,
	})
}

func id(k cachepolicy.Key) uint64 { return binary.LittleEndian.Uint64(k.Hash[:8]) }

func (m *Memory) shard(id uint64) *shard { return &m.shards[id>>56] }

// Get returns the object under k, or ErrMiss.
func (m *Memory) Get(_ context.Context, k cachepolicy.Key) (*Object, error) {
	id := id(k)
	s := m.shard(id)
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return nil, ErrClosed
	}
	it := s.items[id]
	m.main.Get(id) // for the count of uses alone; under the lock, because Close must wait for it
	s.mu.RUnlock()
	if it != nil {
		if o := it.object.Load(); o.Key == k {
			if it.touch() {
				m.ledger.proved(it)
			}
			s.hits.Add(1)
			return o, nil
		}
	}
	s.misses.Add(1)
	return nil, ErrMiss
}

// Put adds e to the object under k.
func (m *Memory) Put(_ context.Context, k cachepolicy.Key, e *Entry, maxVariants int) error {
	if e.largest() > m.maxObject {
		return ErrTooLarge
	}
	return m.change(k, func(o *Object) (*Object, error) {
		if o == nil {
			o = &Object{Key: k}
		}
		return o.with(e, maxVariants, m.now())
	})
}

// Replace puts e in the place of old if old is still stored.
func (m *Memory) Replace(_ context.Context, k cachepolicy.Key, old, e *Entry) (bool, error) {
	if e.largest() > m.maxObject {
		return false, ErrTooLarge
	}
	done := false
	err := m.change(k, func(o *Object) (*Object, error) {
		if o == nil {
			return nil, nil
		}
		next := o.swapped(old, e)
		done = next != nil
		return next, nil
	})
	return done && err == nil, err
}

// change puts next of what is stored under k in its place, under the lock of its shard. next gets nil when there is nothing, and returns nil when
// nothing is to be changed.
func (m *Memory) change(k cachepolicy.Key, next func(*Object) (*Object, error)) error {
	m.closing.RLock()
	defer m.closing.RUnlock()
	if m.closed {
		return ErrClosed
	}
	id := id(k)
	s := m.shard(id)
	s.mu.Lock()
	it := s.items[id]
	var stored *Object
	if it != nil {
		if stored = it.object.Load(); stored.Key != k {
			stored = nil
		}
	}
	o, err := next(stored)
	if err != nil || o == nil {
		s.mu.Unlock()
		return err
	}
	o = o.fitted(m.maxWhole)
	cost := o.cost()
	if cost > m.maxWhole {
		s.mu.Unlock()
		return ErrTooLarge
	}
	if it == nil {
		it = &item{id: id}
		s.items[id] = it
	}
	it.object.Store(o)
	moves := m.ledger.enter(it, cost, o.expiry())
	s.mu.Unlock()
	m.carryOut(moves)
	return nil
}

// Delete removes the object under k.
func (m *Memory) Delete(_ context.Context, k cachepolicy.Key) error {
	m.closing.RLock()
	defer m.closing.RUnlock()
	if m.closed {
		return ErrClosed
	}
	id := id(k)
	s := m.shard(id)
	s.mu.Lock()
	it := s.items[id]
	if it == nil || it.object.Load().Key != k {
		s.mu.Unlock()
		return nil
	}
	delete(s.items, id)
	registered := m.ledger.leave(it)
	s.mu.Unlock()
	if registered {
		m.main.Del(id)
	}
	return nil
}

// Stats returns the counts at this moment.
func (m *Memory) Stats() Stats {
	s := m.ledger.stats()
	for i := range m.shards {
		s.Hits += m.shards[i].hits.Load()
		s.Misses += m.shards[i].misses.Load()
	}
	return s
}

// Close drops everything and ends the goroutines. Methods called afterwards return ErrClosed.
func (m *Memory) Close() error {
	m.shut()
	<-m.swept
	return nil
}

func (m *Memory) shut() {
	m.closing.Lock()
	defer m.closing.Unlock()
	if m.closed {
		return
	}
	m.closed = true
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		s.closed = true // from here no Get is inside ristretto, or will be
		s.mu.Unlock()
	}
	close(m.stop)
	m.main.Close()
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		clear(s.items)
		s.mu.Unlock()
	}
	m.ledger.init(m.ledger.size, 1)
}
