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

// MemoryConfig configures a Memory.
type MemoryConfig struct {
	Size      int64            // limit of the bytes of all objects together, as counted by the store
	MaxObject int64            // limit of the bytes of one body; 0: an eighth of Size
	Objects   int64            // approximate number of objects that fit into Size, for the frequency sketch; 0: Size / 8 KiB
	Now       func() time.Time // nil: time.Now
}

// Stats holds the counters and the current size of a Memory.
type Stats struct {
	Objects  int64 // stored now
	Bytes    int64 // taken by the objects, and by dead records that are not freed yet
	Hits     int64 // Gets that found an object, and calls of CountHit
	Misses   int64 // Gets that found no object
	Admitted int64 // objects that moved from the recency window to the main store
	Rejected int64 // objects that left the window and that the main store refused
	Evicted  int64 // objects that were removed to make room, in either part
	Expired  int64 // objects that were removed after their Expiry
}

// ErrClosed is returned by a store's methods after Close.
var ErrClosed = errors.New("store: closed")

const (
	shardCount = 256
	// wholeShare is a divisor: one object with all its variants takes at most this fraction of
	// Size, so that one response can't evict all others.
	wholeShare = 8
	minSize    = 64 << 10
	// countersPerObject sets the size of ristretto's frequency sketch.
	countersPerObject = 10
)

// Memory is the tier within the process.
//
// Its own sharded table decides which objects exist. An object changes only under the lock of its
// shard, so the changes of one key are ordered. A Get sees a Put as soon as the Put has returned.
// After a Delete no older data comes back: a Put that is ordered before the Delete is deleted, and
// a Put that is ordered after it stores nothing of the deleted object.
//
// Around the table, two parts decide which objects stay. New objects enter a recency window.
// Objects that leave the window are offered to ristretto, whose TinyLFU policy admits or refuses
// them and evicts others. An object that ristretto drops leaves the table. The ledger bounds the
// bytes of both parts.
//
// Ristretto alone is not enough. Its Set is asynchronous, its Del lets old values come back, an
// update may exceed its bounds, and its hit ratio falls far below that of LRU if popularity
// changes.
//
// The admission policy has a price: an object costs 184 bytes more once it is registered with
// ristretto, for ristretto's two maps. The item, its slot in the table and the overhead of a record
// take 140 bytes.
//
// Millions of objects must cost the garbage collector nothing, and little memory beyond their own
// bytes. So small objects are records in chunks, the items that stand for them are numbers in
// slabs, and neither holds a pointer to the other. Get decodes a record on demand, and a cache
// keeps the decoded form of hot objects. Large objects are stored as they are.
type Memory struct {
	now        func() time.Time
	maxObject  int64
	maxWhole   int64
	shards     [shardCount]shard
	items      slab[item]
	chunks     chunks
	large      slab[atomic.Pointer[Object]]
	decoded    decoded
	eraNumbers eraNumbers
	ledger     ledger
	main       *ristretto.Cache[uint64, ticket]
	cleaning   sync.Mutex
	cursor     uint32 // the item at which the sweep continues

	closing sync.RWMutex // held for reading by calls that may send to ristretto, which must not be closed meanwhile
	closed  bool
	stop    chan struct{}
	swept   chan struct{}
}

// shard is one part of the table.
type shard struct {
	mu     sync.RWMutex
	index  index
	space  []byte // buffer for records that are being encoded
	closed bool
	hits   atomic.Int64
	misses atomic.Int64
}

// NewMemory returns an empty store. The caller must call Close to end its goroutines.
func NewMemory(c MemoryConfig) (*Memory, error) {
	if c.Size < minSize {
		return nil, fmt.Errorf("store: memory of %d bytes is too small; the minimum is %d", c.Size, minSize)
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
	go m.sweepLoop()
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
	m.decoded.init(c.Size)
	m.ledger.items = &m.items
	m.ledger.init(c.Size-reserve(c), c.Objects)
}

// blockBits returns the size of a slab's blocks as a power of two. Blocks are small compared with
// the size.
func blockBits(size int64) uint {
	bits := uint(4)
	for bits < 10 && size>>(bits+13) > 0 {
		bits++
	}
	return bits
}

// reserve returns the part of the size that is not available to objects: the fixed structures, and
// the slack for dead records.
func reserve(c MemoryConfig) int64 {
	counters := int64(1) << bits.Len64(uint64(countersPerObject*c.Objects-1))
	sketch := 2*counters + counters*3/2 // four rows of half-byte counters, and a filter of about 10 bits each
	return sketch + ghostsFor(c.Objects)*ghostCost + c.Size/decodedShare + chunkSlack(c.Size)
}

func (m *Memory) newMain(c MemoryConfig) (*ristretto.Cache[uint64, ticket], error) {
	return ristretto.NewCache(&ristretto.Config[uint64, ticket]{
		NumCounters:        countersPerObject * c.Objects,
		MaxCost:            m.ledger.mainMax(),
		BufferItems:        64,
		IgnoreInternalCost: true, // mainCost covers it
		KeyToHash:          func(id uint64) (uint64, uint64) { return id, 0 },
		OnExit:             m.registrationEnded,
	})
}

func id(k cachepolicy.Key) uint64 { return binary.LittleEndian.Uint64(k.Hash[:8]) }

func (m *Memory) shard(id uint64) *shard { return &m.shards[id>>56] }

// Get returns the object under k, or ErrMiss.
func (m *Memory) Get(ctx context.Context, k cachepolicy.Key) (*Object, error) {
	o, err := m.Peek(ctx, k)
	switch err {
	case nil:
		m.CountHit(k)
	case ErrMiss:
		m.CountMiss(k)
	}
	return o, err
}

// CountHit counts a hit under k.
func (m *Memory) CountHit(k cachepolicy.Key) { m.shard(id(k)).hits.Add(1) }

// CountMiss counts a miss.
func (m *Memory) CountMiss(k cachepolicy.Key) { m.shard(id(k)).misses.Add(1) }

// Peek is Get without touching the hit and miss counters.
func (m *Memory) Peek(_ context.Context, k cachepolicy.Key) (*Object, error) {
	id := id(k)
	s := m.shard(id)
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return nil, ErrClosed
	}
	m.main.Get(id) // only to count the use; under the lock, because Close must wait for it
	o, usedOnProbation := m.look(s, id, &k)
	s.mu.RUnlock()
	if o == nil {
		return nil, ErrMiss
	}
	if usedOnProbation != nil {
		m.ledger.usedOnProbation(usedOnProbation)
	}
	return o, nil
}

// look finds the object under k and records its use. If the item was on probation, look returns it
// too. The caller holds the shard's lock.
func (m *Memory) look(s *shard, id uint64, k *cachepolicy.Key) (o *Object, usedOnProbation *item) {
	at := s.index.find(&m.items, id)
	if at < 0 {
		return nil, nil
	}
	it := m.items.at(s.index.slots[at].item())
	if o = m.object(it, k); o != nil && it.touch() {
		usedOnProbation = it
	}
	return o, usedOnProbation
}

// object returns the object of an item, or nil if the item stands for another key. The caller holds
// the lock of its shard.
func (m *Memory) object(it *item, k *cachepolicy.Key) *Object {
	if i, ok := it.ref.large(); ok {
		return m.large.at(i).Load().under(k)
	}
	if o := m.decoded.load(it); o != nil {
		return o.under(k)
	}
	b := m.chunks.from(it.ref)
	if !isRecordOf(b, k) {
		return nil
	}
	return m.decoded.keep(it, m.unpack(it.ref))
}

func (m *Memory) unpack(r ref) *Object {
	b := m.chunks.from(r)
	o := unpack(b[:recordSize(b)], &m.eraNumbers)
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
		return o.with(e, maxVariants, m.now()), nil
	})
}

// Replace stores e in place of old if old is still stored, and reports whether it did.
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

// change replaces the object under k by the result of next, under the lock of its shard. next gets
// nil if no object is stored. If it returns nil, change does nothing.
func (m *Memory) change(k cachepolicy.Key, next func(*Object) (*Object, error)) error {
	m.closing.RLock()
	defer m.closing.RUnlock()
	if m.closed {
		return ErrClosed
	}
	s := m.shard(id(k))
	s.mu.Lock()
	pending, err := m.changeIn(s, &k, next)
	s.mu.Unlock()
	if err == nil {
		m.apply(pending)
		m.compact()
	}
	return err
}

func (m *Memory) changeIn(s *shard, k *cachepolicy.Key, next func(*Object) (*Object, error)) ([]action, error) {
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
	m.release(it)
	it.ref = r
	m.keepUses(it, o)
	return m.ledger.enter(i, cost, o.expiry()), nil
}

// enter takes a new item and adds it to the table.
func (m *Memory) enter(s *shard, id uint64) uint32 {
	i := m.items.take()
	it := m.items.at(i)
	it.id.Store(id)
	it.touched.Store(0)
	s.index.add(id, i)
	return i
}

// remove takes the item in slot at out of the table.
func (m *Memory) remove(s *shard, at int) {
	i := s.index.slots[at].item()
	s.index.remove(at)
	m.release(m.items.at(i))
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
	registered := m.ledger.drop(s.index.slots[at].item())
	m.remove(s, at)
	s.mu.Unlock()
	if registered {
		m.main.Del(id)
	}
	m.compact()
	return nil
}

// isOf reports whether an item stands for k.
func (m *Memory) isOf(it *item, k *cachepolicy.Key) bool {
	if i, ok := it.ref.large(); ok {
		return m.large.at(i).Load().Key == *k
	}
	return isRecordOf(m.chunks.from(it.ref), k)
}

// Stats returns the counters and the size at this moment.
func (m *Memory) Stats() Stats {
	waste := m.chunks.waste() // before the ledger's part, so that an eviction in between is not counted twice
	s := m.ledger.stats()
	s.Bytes += waste
	for i := range m.shards {
		s.Hits += m.shards[i].hits.Load()
		s.Misses += m.shards[i].misses.Load()
	}
	return s
}

// Close removes all objects and ends the goroutines. Methods called afterwards return ErrClosed.
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
		s.closed = true // from here on no Get uses ristretto
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
