package store

// index finds items by id, with open addressing and linear probing. A slot holds the upper half of
// a hash beside the number of the item, so that a lookup rarely inspects other items. Ids come from
// clients, so the hash has a secret factor: without it an attacker could choose ids that collide.
type index struct {
	factor uint64 // odd
	slots  []slot
	used   int
}

// slot is a hash in the upper half and the number of an item in the lower half. 0 means empty.
type slot uint64

func (s slot) item() uint32 { return uint32(s) }
func (s slot) hash() uint64 { return uint64(s) >> 32 }

const (
	minSlots = 8
	fullPart = 7 // maximum load of the table, in eighths
	growPart = 4 // divisor: the table grows by this fraction; doubling could leave half of the slots empty
)

func (t *index) hash(id uint64) uint64 { return (id * t.factor) >> 32 }

// home returns the slot of a hash if no other item occupies it. The number of slots need not be a
// power of two: the hash scales to it as a fraction.
func (t *index) home(hash uint64) int { return int(hash * uint64(len(t.slots)) >> 32) }

func (t *index) next(i int) int {
	if i++; i < len(t.slots) {
		return i
	}
	return 0
}

// behind returns the distance from one slot to a later slot.
func (t *index) behind(from, i int) int {
	if i < from {
		i += len(t.slots)
	}
	return i - from
}

// find returns the slot of the item with the id, or -1 if there is none.
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

// add inserts an item. Its id must not be in the table.
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

// remove empties slot i and moves later items up if they could no longer be found.
func (t *index) remove(i int) {
	for j := t.next(i); t.slots[j] != 0; j = t.next(j) {
		// The item at j may move to i unless its home lies behind i.
		if t.behind(t.home(t.slots[j].hash()), j) >= t.behind(i, j) {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = 0
	t.used--
}
