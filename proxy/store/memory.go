package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
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
	Bytes    int64 // they take, and what has been of others and is not free yet
	Hits     int64 // Gets that found their object, and Tries that were said to
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
	// countersPerObject is how large ristretto's sketch of frequencies is.
	countersPerObject = 10
)

// Memory is the tier within the process.
//
// A table of its own, in shards, is the truth: what it names is found, what it does not is gone. A change of an object happens under the lock
// of its shard, so changes of one key have an order, Get sees a Put as soon as that returns, and after Delete nothing older comes back: a Put
// that comes before it in that order is deleted, one that comes after it stays and holds nothing of what was deleted.
//
// What may stay is decided around the table. New objects enter a recency window; what is pushed out of it is offered to ristretto, whose TinyLFU policy
// admits or refuses it and evicts others; whatever ristretto lets go of leaves the table. The ledger keeps both in bounds of bytes. Ristretto
// alone would not do: its Set is asynchronous, its Del leaves room for old values to come back, an update may outgrow its bounds, and its hit ratio
// falls far behind LRU's when what is popular changes.
//
// The policy has its price: ristretto's two maps are taken to need 184 bytes for each object that is registered with it, which count from when it is. The item,
// its place in the table and what a record has beside key, head and body take 140.
//
// Millions of objects must cost the garbage collector nothing and little beside their own bytes. So small ones are records in chunks, the items that
// stand for them are numbers in slabs, and no pointer leads from one to the other. The objects that Get returns are made when they are
// asked for, and a memo keeps those that are asked for often. Large ones are kept as they came.
type Memory struct {
	now       func() time.Time
	maxObject int64
	maxWhole  int64
	shards    [shardCount]shard
	items     slab[item]
	chunks    chunks
	large     slab[atomic.Pointer[Object]]
	memo      memo
	eras      eras
	ledger    ledger
	main      *ristretto.Cache[uint64, ticket]
	cleaning  sync.Mutex
	cursor    uint32 // of the sweep: the item it goes on with

	closing sync.RWMutex // held for reading by whoever may send to ristretto, which must not be closed then
	closed  bool
	stop    chan struct{}
	swept   chan struct{}
}

// shard is a part of the table.
type shard struct {
	mu     sync.RWMutex
	index  index
	space  []byte // for records that are being made
	closed bool
	hits   atomic.Int64
	misses atomic.Int64
}

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
	if c.Objects <= 0 {
		c.Objects = max(c.Size/(8<<10), min(c.Size>>10, 1<<10))
	}
	m.init(c)
	var err error
	if m.main, err = m.newMain(c); err != nil {
		return nil, fmt.Errorf("store: memory: %w", err)
	}
	m.cursor = 1
	go m.sweep()
	return m, nil
}

func (m *Memory) init(c MemoryConfig) {
	factor := rand.Uint64() | 1
	for i := range m.shards {
		m.shards[i].index = index{factor: factor}
	}
	m.items.init(blockBits(c.Size))
	m.large.init(blockBits(c.Size))
	m.chunks.init(c.Size)
	m.memo.init(c.Size)
	m.ledger.items = &m.items
	m.ledger.init(c.Size-reserve(c), c.Objects)
}

// blockBits is how large the blocks of a slab are: small beside the size.
func blockBits(size int64) uint {
	bits := uint(4)
	for bits < 10 && size>>(bits+13) > 0 {
		bits++
	}
	return bits
}

// reserve is the part of the size that does not go to objects: what is fixed, and what dead records may take.
func reserve(c MemoryConfig) int64 {
	counters := int64(1) << bits.Len64(uint64(countersPerObject*c.Objects-1))
	sketch := 2*counters + counters*3/2 // four rows of half bytes, and a filter of about 10 bits each
	return sketch + ghostsFor(c.Objects)*ghostCost + c.Size/memoShare + chunkSlack(c.Size)
}

func (m *Memory) newMain(c MemoryConfig) (*ristretto.Cache[uint64, ticket], error) {
	return ristretto.NewCache(&ristretto.Config[uint64, ticket]{
		NumCounters:        countersPerObject * c.Objects,
		MaxCost:            m.ledger.mainMax(),
		BufferItems:        64,
		IgnoreInternalCost: true, // it is mainCost
		KeyToHash:          func(id uint64) (uint64, uint64) { return id, 0 },
		OnExit:             m.released,
	})
}

func id(k cachepolicy.Key) uint64 { return binary.LittleEndian.Uint64(k.Hash[:8]) }

func (m *Memory) shard(id uint64) *shard { return &m.shards[id>>56] }

// Get returns the object under k, or ErrMiss.
func (m *Memory) Get(ctx context.Context, k cachepolicy.Key) (*Object, error) {
	o, err := m.Try(ctx, k)
	switch err {
	case nil:
		m.Found(k)
	case ErrMiss:
		m.shard(id(k)).misses.Add(1)
	}
	return o, err
}

// Found counts a hit.
func (m *Memory) Found(k cachepolicy.Key) { m.shard(id(k)).hits.Add(1) }

// Try is Get without being counted.
func (m *Memory) Try(_ context.Context, k cachepolicy.Key) (*Object, error) {
	id := id(k)
	s := m.shard(id)
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return nil, ErrClosed
	}
	m.main.Get(id) // for the count of uses alone; under the lock, because Close must wait for it
	o, proved := m.look(s, id, &k)
	s.mu.RUnlock()
	if o == nil {
		return nil, ErrMiss
	}
	if proved != nil {
		m.ledger.proved(proved)
	}
	return o, nil
}

// look finds the object under k and notes its use. The item is returned if that was on trial. The shard's lock is held.
func (m *Memory) look(s *shard, id uint64, k *cachepolicy.Key) (o *Object, proved *item) {
	at := s.index.find(&m.items, id)
	if at < 0 {
		return nil, nil
	}
	it := m.items.at(s.index.slots[at].item())
	if o = m.object(it, k); o != nil && it.touch() {
		proved = it
	}
	return o, proved
}

// object is that of an item, if it is stored under k. The lock of its shard is held.
func (m *Memory) object(it *item, k *cachepolicy.Key) *Object {
	if i, ok := it.ref.large(); ok {
		return m.large.at(i).Load().under(k)
	}
	if o := m.memo.load(it); o != nil {
		return o.under(k)
	}
	b := m.chunks.from(it.ref)
	if !isRecordOf(b, k) {
		return nil
	}
	return m.memo.keep(it, m.unpack(it.ref))
}

func (m *Memory) unpack(r ref) *Object {
	b := m.chunks.from(r)
	o := unpack(b[:recordSize(b)], &m.eras)
	o.at = r
	return o
}

func (o *Object) under(k *cachepolicy.Key) *Object {
	if o.Key != *k {
		return nil
	}
	return o
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
	s := m.shard(id(k))
	s.mu.Lock()
	moves, err := m.changeIn(s, &k, next)
	s.mu.Unlock()
	if err == nil {
		m.carryOut(moves)
		m.clean()
	}
	return err
}

func (m *Memory) changeIn(s *shard, k *cachepolicy.Key, next func(*Object) (*Object, error)) ([]move, error) {
	id := id(*k)
	at := s.index.find(&m.items, id)
	var i uint32
	var stored *Object
	if at >= 0 {
		i = s.index.slots[at].item()
		stored = m.object(m.items.at(i), k)
	}
	o, err := next(stored)
	if err != nil || o == nil {
		return nil, err
	}
	o = o.fitted(m.maxWhole)
	if o.cost() > m.maxWhole {
		return nil, ErrTooLarge
	}
	r, cost := m.write(s, o)
	if at < 0 {
		i = m.enter(s, id)
	}
	it := m.items.at(i)
	m.unwrite(it)
	it.ref = r
	return m.ledger.enter(i, cost, o.expiry()), nil
}

// enter makes an item that the table has.
func (m *Memory) enter(s *shard, id uint64) uint32 {
	i := m.items.take()
	it := m.items.at(i)
	it.id.Store(id)
	it.touched.Store(0)
	s.index.add(id, i)
	return i
}

// remove takes the item at a place out of the table.
func (m *Memory) remove(s *shard, at int) {
	i := s.index.slots[at].item()
	s.index.remove(at)
	m.unwrite(m.items.at(i))
	m.items.give(i)
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
	at := s.index.find(&m.items, id)
	if at < 0 || !m.isOf(m.items.at(s.index.slots[at].item()), &k) {
		s.mu.Unlock()
		return nil
	}
	registered := m.ledger.leave(s.index.slots[at].item())
	m.remove(s, at)
	s.mu.Unlock()
	if registered {
		m.main.Del(id)
	}
	m.clean()
	return nil
}

// isOf reports whether an item's object is stored under k.
func (m *Memory) isOf(it *item, k *cachepolicy.Key) bool {
	if i, ok := it.ref.large(); ok {
		return m.large.at(i).Load().Key == *k
	}
	return isRecordOf(m.chunks.from(it.ref), k)
}

// Stats returns the counts at this moment.
func (m *Memory) Stats() Stats {
	waste := m.chunks.waste() // before the rest: what is evicted in between must not count twice
	s := m.ledger.stats()
	s.Bytes += waste
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
		m.shards[i].mu.Lock()
		defer m.shards[i].mu.Unlock()
	}
	m.init(MemoryConfig{Size: minSize, Objects: 1})
}
