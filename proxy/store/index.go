package store

// index finds items by their ids: open addressing with linear probing. A slot has the upper half of a hash beside the number of the item, so that
// the items of others are hardly ever looked at. Ids come from what clients ask for; the factor is secret, so that nobody can make them meet.
type index struct {
	factor uint64 // odd
	slots  []slot
	used   int
}

// slot is a hash in the upper half and the number of an item in the lower; 0 is empty.
type slot uint64

func (s slot) item() uint32 { return uint32(s) }
func (s slot) hash() uint64 { return uint64(s) >> 32 }

const (
	minSlots = 8
	fullPart = 7 // eighths of the slots that may be used
	growPart = 4 // the fraction of the slots by which they become more: to double them would leave half of them empty in the worst case
)

func (t *index) hash(id uint64) uint64 { return (id * t.factor) >> 32 }

// home is where a hash's item is, if no other was there before. The number of slots is none in particular: a hash is taken as a fraction of it.
func (t *index) home(hash uint64) int { return int(hash * uint64(len(t.slots)) >> 32) }

func (t *index) next(i int) int {
	if i++; i < len(t.slots) {
		return i
	}
	return 0
}

// behind is how many slots i is behind from.
func (t *index) behind(from, i int) int {
	if i < from {
		i += len(t.slots)
	}
	return i - from
}

// find is the place of the item with the id; -1 when there is none.
func (t *index) find(items *slab[item], id uint64) int {
	if t.used == 0 {
		return -1
	}
	hash := t.hash(id)
	for i := t.home(hash); t.slots[i] != 0; i = t.next(i) {
		if s := t.slots[i]; s.hash() == hash && items.at(s.item()).id.Load() == id {
			return i
		}
	}
	return -1
}

// add enters an item whose id is not there.
func (t *index) add(id uint64, item uint32) {
	if (t.used+1)*8 > len(t.slots)*fullPart {
		t.grow()
	}
	t.place(slot(t.hash(id)<<32 | uint64(item)))
	t.used++
}

func (t *index) place(s slot) {
	i := t.home(s.hash())
	for t.slots[i] != 0 {
		i = t.next(i)
	}
	t.slots[i] = s
}

func (t *index) grow() {
	old := t.slots
	t.slots = make([]slot, max(minSlots, len(old)+len(old)/growPart))
	for _, s := range old {
		if s != 0 {
			t.place(s)
		}
	}
}

// remove empties place i, and moves up those behind it that would no longer be found.
func (t *index) remove(i int) {
	for j := t.next(i); t.slots[j] != 0; j = t.next(j) {
		// The one at j may go to i unless its home is behind i.
		if t.behind(t.home(t.slots[j].hash()), j) >= t.behind(i, j) {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = 0
	t.used--
}
