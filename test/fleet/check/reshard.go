package check

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/penstock/penstock/test/redistest"
)

// mostSlots is how many slots one fault moves at the most.
const mostSlots = 5

// reshard moves some of the slots in which a primary has keys of the fleet, while instances use
// them.
func (w *world) reshard(random *rand.Rand, from *redistest.Server) {
	primaries := w.redis.Primaries()
	slots := slotsOf(from)
	random.Shuffle(len(slots), func(i, k int) { slots[i], slots[k] = slots[k], slots[i] })
	for _, slot := range slots[:min(mostSlots, len(slots))] {
		to := one(random, primaries)
		if to == from {
			continue
		}
		pause := time.Duration(random.Int64N(int64(100 * time.Millisecond)))
		if err := redistest.MoveSlot(slot, from, to, primaries, func() { time.Sleep(pause) }); err != nil {
			w.Log("slot %s is stuck: %v", slot, err)
		}
	}
}

// slotsOf are the slots in which a server has keys of the fleet, each once. A server that does not
// answer has none.
func slotsOf(s *redistest.Server) (slots []string) {
	reply, _ := s.Do("KEYS", "penstock:*")
	keys, _ := reply.([]any)
	known := make(map[string]bool)
	for _, key := range keys {
		reply, err := s.Do("CLUSTER", "KEYSLOT", fmt.Sprint(key))
		if slot := fmt.Sprint(reply); err == nil && !known[slot] {
			known[slot] = true
			slots = append(slots, slot)
		}
	}
	return slots
}
