package write

import (
	"hash/maphash"
	"sync/atomic"
)

// SeenName returns the name under which reads find the writes to a URL. query is the query as it
// appears in the route's cache key.
func SeenName(host, path, query string) string { return host + path + "?" + query }

// heldSlots is a power of two. If a thousand names are held, one in sixteen reads of other names
// asks the queue needlessly.
const heldSlots = 1 << 14

// Held records which names have queued writes, as far as this instance knows. If a name is held, a
// read must ask the queue before a stored response may answer it. A check takes no lock and
// allocates nothing, because every hit makes one. Names share slots, so May may return true for a
// name without writes, but never false for a name with writes.
type Held struct {
	seed  maphash.Seed
	total atomic.Int64
	slots [heldSlots]atomic.Int32
}

// NewHeld returns a Held without names.
func NewHeld() *Held { return &Held{seed: maphash.MakeSeed()} }

// Hold counts a queued write to name.
func (h *Held) Hold(name string) { h.add(name, 1) }

// Release undoes one Hold.
func (h *Held) Release(name string) { h.add(name, -1) }

func (h *Held) add(name string, n int32) {
	h.slots[maphash.String(h.seed, name)%heldSlots].Add(n)
	h.total.Add(int64(n))
}

// May reports whether a write to the URL may be queued.
func (h *Held) May(host, path, query string) bool {
	if h.total.Load() == 0 {
		return false
	}
	var sum maphash.Hash
	sum.SetSeed(h.seed)
	_, _ = sum.WriteString(host) // never fails
	_, _ = sum.WriteString(path)
	_ = sum.WriteByte('?')
	_, _ = sum.WriteString(query)
	return h.slots[sum.Sum64()%heldSlots].Load() != 0
}
