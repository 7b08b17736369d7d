package file

import (
	"cmp"
	"slices"
	"time"

	"github.com/penstock/penstock/proxy/write"
)

// plan is the content to take over from a damaged file.
type plan struct {
	queued  []*trace // in order
	letters []*trace
	ended   []*trace // with an outline
	lost    []*trace // acknowledged, and neither applied nor readable
}

// salvage decides what happens to each write in a damaged file.
//
// If the order of the tree is complete, it alone decides which writes are pending. Otherwise each
// write is judged by its own records. If a record of any age says that the write has ended, it has.
// If all such records are damaged, a write that was already applied looks pending. It is then sent
// once more, with its Idempotency-Key, unless a later write of its lane was attempted before.
func (s *survey) salvage(now time.Time) *plan {
	p := new(plan)
	waits := s.pending()
	for _, t := range s.traces {
		switch {
		case waits[t.id] && t.whole.n == 0:
			p.lost = append(p.lost, t)
		case waits[t.id]:
			p.queued = append(p.queued, t)
		case t.ended:
			if t.outline.n > 0 && t.until.IsZero() || t.until.After(now) {
				p.ended = append(p.ended, t)
			}
		case t.whole.n > 0 && t.isLetter():
			p.letters = append(p.letters, t)
		}
	}
	byPlace := func(a, b *trace) int {
		return cmp.Or(cmp.Compare(a.place, b.place), a.accepted.Compare(b.accepted), cmp.Compare(a.id, b.id))
	}
	byTime := func(a, b *trace) int {
		return cmp.Or(a.accepted.Compare(b.accepted), cmp.Compare(a.place, b.place), cmp.Compare(a.id, b.id))
	}
	if slices.ContainsFunc(p.queued, func(t *trace) bool { return t.place == 0 }) {
		byPlace = byTime
	}
	slices.SortFunc(p.queued, byPlace)
	for _, list := range []*[]*trace{&p.letters, &p.ended, &p.lost} {
		slices.SortFunc(*list, byTime)
	}
	p.queued = lastOfEachKey(p.queued)
	return p
}

// isLetter reports whether a write that is not pending is a dead letter.
func (t *trace) isLetter() bool {
	if t.state == nil || !t.state.state.Ended() {
		return !t.dead.IsZero()
	}
	return t.state.state.Phase == write.Dead
}

// pending returns the pending writes.
func (s *survey) pending() map[string]bool {
	waits := make(map[string]bool)
	if s.orderly {
		for place, id := range s.order {
			t := s.trace(id)
			t.place = place
			waits[id] = !t.ended // an unfinished transaction may have ended it
		}
		return waits
	}
	tried := make(map[string]uint64) // by lane, the last place with an attempted write
	for _, t := range s.traces {
		if t.lane != "" && (t.ended || t.state != nil && t.state.state.Tries > 0) {
			tried[t.lane] = max(tried[t.lane], t.place)
		}
	}
	listed := make(map[string]bool)
	for _, id := range s.order {
		listed[id] = true
	}
	for _, t := range s.traces {
		waits[t.id] = t.waits(s.lowest, tried[t.lane], listed[t.id] && !s.framed)
	}
	return waits
}

// waits reports whether t is pending according to its own records. No write below the place lowest
// is pending. tried is the last place in the lane with an attempted write. listed is true if the
// order of a file of an earlier version contains t; such a file has no other evidence.
func (t *trace) waits(lowest, tried uint64, listed bool) bool {
	switch {
	case t.ended:
		return false
	case listed:
		return true
	case t.state != nil && t.state.state.Ended():
		return false
	case t.state == nil && (!t.dead.IsZero() || t.whole.n == 0):
		return false
	case t.state != nil && t.dead.After(t.state.state.Updated):
		return false // the record of the dead letter is later
	case t.place == 0:
		return true // of an earlier version
	}
	return t.place >= lowest && t.place >= tried
}

// lastOfEachKey keeps one write for each Idempotency-Key. The earlier one was never acknowledged,
// or its key had been forgotten.
func lastOfEachKey(queued []*trace) []*trace {
	last := make(map[write.Digest]*trace)
	for _, t := range queued {
		last[t.key] = t
	}
	return slices.DeleteFunc(queued, func(t *trace) bool { return !t.key.IsZero() && last[t.key] != t })
}
