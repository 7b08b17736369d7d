package store

import "sync"

// ref is the place of an object: in a chunk, or in the slab of large objects. 0 means that the
// object is stored nowhere.
type ref uint64

const (
	largeRef   ref = 1 << 63 // the remaining bits are a number in Memory.large
	offsetBits     = 17

	maxChunk = 128 << 10
	minChunk = 4 << 10
	// chunkShare is a divisor: a chunk takes at most this fraction of the memory's size. wasteShare
	// is the divisor for the bytes of dead records.
	chunkShare = 64
	wasteShare = 16
	// packedShare is a divisor: a record takes at most this fraction of a chunk. As much may be
	// left unused at the end of a full chunk.
	packedShare = 16
)

func (r ref) large() (uint32, bool) { return uint32(r), r&largeRef != 0 }

func refTo(chunk uint32, offset int) ref { return ref(chunk)<<offsetBits | ref(offset) }

func (r ref) place() (chunk uint32, offset int) {
	return uint32(r >> offsetBits), int(r & (1<<offsetBits - 1))
}

// chunk is memory for records. Each byte is written once, so a reader may keep a part of it for as
// long as it likes. The garbage collector frees the chunk when no reader is left. A chunk holds no
// pointers, and there are about ten thousand chunks for millions of objects.
type chunk struct {
	data   []byte
	filled int
	live   int // bytes of live records
	open   int // records that are being written
	sealed bool
}

// chunks is the memory of the small objects. Its lock is taken after a shard's.
type chunks struct {
	size   int // bytes of a chunk
	most   int // maximum bytes of a record
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

// chunkSlack returns how many bytes the chunks may hold beyond the live records.
func chunkSlack(size int64) int64 { return max(size/wasteShare, 2*int64(chunkSize(size))) }

// take reserves n bytes for a record. The caller writes the record and then calls written.
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

// turn seals the active chunk and begins a new one.
func (c *chunks) turn() {
	if old := c.active; old != 0 {
		c.list.at(old).sealed = true
		c.settle(old)
	}
	c.active = c.list.take()
	*c.list.at(c.active) = chunk{data: make([]byte, c.size)}
	c.held += int64(c.size)
}

// written marks the record at r as complete.
func (c *chunks) written(r ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, _ := r.place()
	c.list.at(i).open--
	c.settle(i)
}

// drop marks a record of n bytes as dead.
func (c *chunks) drop(r ref, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, _ := r.place()
	c.list.at(i).live -= n
	c.live -= int64(n)
	c.settle(i)
}

// settle frees a sealed chunk if it holds no live record and none is being written.
func (c *chunks) settle(i uint32) {
	k := c.list.at(i)
	if !k.sealed || k.live > 0 || k.open > 0 {
		return
	}
	*k = chunk{}
	c.held -= int64(c.size)
	c.list.give(i)
}

// from returns the content of a chunk from r on.
func (c *chunks) from(r ref) []byte {
	i, off := r.place()
	return c.list.at(i).data[off:]
}

// wasted reports whether dead records take more than chunkSlack.
func (c *chunks) wasted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held-c.live > c.slack
}

// victimSample is the minimum number of chunks that victim compares.
const victimSample = 64

// victim returns a chunk with few live records, and its content, so that the caller can move the
// live records. It returns 0 if there is no need. The caller must call written with the chunk when
// it has finished.
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
	k.open++ // keeps the chunk from being reused while the caller reads it
	return best, k.data[:k.filled:k.filled]
}

func (c *chunks) waste() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held - c.live
}
