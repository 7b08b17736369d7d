package store

import "sync"

// ref says where an object is: in a chunk, or among those that are kept as they are. 0 is nowhere.
type ref uint64

const (
	largeRef   ref = 1 << 63 // the rest is a number of Memory.large
	offsetBits     = 17

	maxChunk = 128 << 10
	minChunk = 4 << 10
	// chunkShare is the part of the size that a chunk is at most, as its fraction, and wasteShare the part that dead records may take.
	chunkShare = 64
	wasteShare = 16
	// packedShare is the part of a chunk that a record may take, as its fraction: so much of it may be left over when it is full.
	packedShare = 16
)

func (r ref) large() (uint32, bool) { return uint32(r), r&largeRef != 0 }

func refTo(chunk uint32, offset int) ref { return ref(chunk)<<offsetBits | ref(offset) }

func (r ref) place() (chunk uint32, offset int) {
	return uint32(r >> offsetBits), int(r & (1<<offsetBits - 1))
}

// chunk is memory that records are written to one after the other, and once only: who has been given a part of it may read that for as long as he
// likes, and the garbage collector frees the chunk when nobody does. It has no pointers in it, and there are some ten thousand chunks where
// there are millions of objects.
type chunk struct {
	data   []byte
	filled int
	live   int // bytes of records that are stored
	open   int // records that are being written
	sealed bool
}

// chunks are the memory of the small objects. The lock is taken after a shard's.
type chunks struct {
	size   int // of each
	most   int // bytes that a record may have
	slack  int64
	list   slab[chunk]
	mu     sync.Mutex
	active uint32
	cursor uint32
	held   int64 // bytes of all chunks
	live   int64
}

func (c *chunks) init(size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.size = chunkSize(size)
	c.most = c.size / packedShare
	c.slack = chunkSlack(size)
	c.list.init(6)
	c.active, c.cursor, c.held, c.live = 0, 0, 0, 0
}

func chunkSize(size int64) int {
	n := maxChunk
	for n > minChunk && int64(n) > size/chunkShare {
		n /= 2
	}
	return n
}

// chunkSlack is how much the chunks may hold beside what lives in them.
func chunkSlack(size int64) int64 { return max(size/wasteShare, 2*int64(chunkSize(size))) }

// take reserves room for a record, which the caller writes and then tells of.
func (c *chunks) take(n int) (ref, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active == 0 || c.list.at(c.active).filled+n > c.size {
		c.turn()
	}
	k := c.list.at(c.active)
	off := k.filled
	k.filled += n
	k.live += n
	k.open++
	c.live += int64(n)
	return refTo(c.active, off), k.data[off : off+n : off+n]
}

// turn begins a new chunk.
func (c *chunks) turn() {
	if old := c.active; old != 0 {
		c.list.at(old).sealed = true
		c.settle(old)
	}
	c.active = c.list.take()
	*c.list.at(c.active) = chunk{data: make([]byte, c.size)}
	c.held += int64(c.size)
}

// written says that the record at r is complete.
func (c *chunks) written(r ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, _ := r.place()
	c.list.at(i).open--
	c.settle(i)
}

// drop says that a record of n bytes is no longer stored.
func (c *chunks) drop(r ref, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, _ := r.place()
	c.list.at(i).live -= n
	c.live -= int64(n)
	c.settle(i)
}

// settle lets go of a chunk in which nothing lives.
func (c *chunks) settle(i uint32) {
	k := c.list.at(i)
	if !k.sealed || k.live > 0 || k.open > 0 {
		return
	}
	*k = chunk{}
	c.held -= int64(c.size)
	c.list.give(i)
}

// from is what is in a chunk from r on.
func (c *chunks) from(r ref) []byte {
	i, off := r.place()
	return c.list.at(i).data[off:]
}

// wasted reports whether dead records take more than they may.
func (c *chunks) wasted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held-c.live > c.slack
}

// victimSample is how many chunks at least are compared to find one of which little lives.
const victimSample = 64

// victim is a chunk of which what lives is to be moved elsewhere, with what is in it; 0 when there is no need of it. The caller says written when he
// has done so.
func (c *chunks) victim() (uint32, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held-c.live <= c.slack {
		return 0, nil
	}
	best, end := uint32(0), c.list.end()
	for seen := range end {
		if seen >= victimSample && best != 0 && c.size-c.list.at(best).live >= c.size/wasteShare {
			break
		}
		if c.cursor++; c.cursor >= end {
			c.cursor = 1
		}
		k := c.list.at(c.cursor)
		if k.sealed && k.open == 0 && (best == 0 || k.live < c.list.at(best).live) {
			best = c.cursor
		}
	}
	if best == 0 {
		return 0, nil
	}
	k := c.list.at(best)
	k.open++ // until it has been walked through, it is not to become another
	return best, k.data[:k.filled:k.filled]
}

func (c *chunks) waste() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held - c.live
}
