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

const (
	minSlots = 8
	fullPart = 7 // eighths of the slots that may be used
)

func (t *index) hash(id uint64) uint64 { return (id * t.factor) >> 32 }

func (t *index) home(s slot) int { return int(uint64(s)>>32) & (len(t.slots) - 1) }

// find is the place of the item with the id; -1 when there is none.
func (t *index) find(items *slab[item], id uint64) int {
	if t.used == 0 {
		return -1
	}
	hash := t.hash(id)
	for i := int(hash) & (len(t.slots) - 1); t.slots[i] != 0; i = (i + 1) & (len(t.slots) - 1) {
		if s := t.slots[i]; uint64(s)>>32 == hash && items.at(s.item()).id.Load() == id {
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
	i := t.home(s)
	for t.slots[i] != 0 {
		i = (i + 1) & (len(t.slots) - 1)
	}
	t.slots[i] = s
}

func (t *index) grow() {
	old := t.slots
	t.slots = make([]slot, max(minSlots, 2*len(old)))
	for _, s := range old {
		if s != 0 {
			t.place(s)
		}
	}
}

// remove empties place i, and moves up those behind it that would no longer be found.
func (t *index) remove(i int) {
	mask := len(t.slots) - 1
	for j := (i + 1) & mask; t.slots[j] != 0; j = (j + 1) & mask {
		// The one at j may go to i unless its home is behind i.
		if (j-t.home(t.slots[j]))&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = 0
	t.used--
}
