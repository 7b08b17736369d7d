package check

import (
	"math"
	"slices"
	"time"
)

// queuedWrites holds the writes that were accepted against what came to the origin.
func queuedWrites(h *History) (found []Violation) {
	first, doubled := arrivals(h)
	byPath := make(map[string][]int)
	for i := range h.Ops {
		op := &h.Ops[i]
		if op.Kind != Write || op.Policy != Behind || op.Status != 202 {
			continue
		}
		if doubled[op.Number] {
			found = append(found, Violation{WriteDoubled, i, -1})
		}
		if _, came := first[op.Number]; came {
			byPath[op.Path] = append(byPath[op.Path], i)
		} else if h.Drained && !mayBeLost(h, op) {
			found = append(found, Violation{WriteLost, i, -1})
		}
	}
	for _, ops := range byPath {
		found = append(found, unordered(h, ops, first)...)
	}
	return found
}

// arrivals says when each write came first, and which came with more than one key: with the same
// key the origin would know a repetition.
func arrivals(h *History) (first map[int]time.Duration, doubled map[int]bool) {
	first, doubled = make(map[int]time.Duration), make(map[int]bool)
	keys := make(map[int]string)
	for _, a := range h.Arrivals {
		if _, came := first[a.Number]; !came {
			first[a.Number], keys[a.Number] = a.At, a.Key
		} else if keys[a.Number] != a.Key || a.Key == "" {
			doubled[a.Number] = true
		}
	}
	return first, doubled
}

// mayBeLost is true if Redis may have lost the write: the queue is as durable as Redis.
func mayBeLost(h *History, write *Op) bool { return lostBetween(h, write.Start, math.MaxInt64) }

func lostBetween(h *History, from, to time.Duration) bool {
	return slices.ContainsFunc(h.Faults, func(f Fault) bool { return f.Loses && f.End >= from && f.Start <= to })
}

// unordered finds writes that came before one which was accepted before they began. ops are the
// accepted writes to one path, in the order in which they began. If Redis has lost the earlier one
// meanwhile, the later one can't know of it: an instance that had it at hand, or a former primary,
// may still bring it.
func unordered(h *History, ops []int, first map[int]time.Duration) (found []Violation) {
	for n, later := range ops {
		for _, earlier := range ops[:n] {
			a, b := &h.Ops[earlier], &h.Ops[later]
			if a.End < b.Start && first[a.Number] > first[b.Number] && !lostBetween(h, a.Start, first[b.Number]) {
				found = append(found, Violation{WriteUnordered, later, earlier})
				break
			}
		}
	}
	return found
}
