package store

import (
	"slices"
	"time"
)

// Memory costs of a stored response, in bytes. Strings and segments also count with their content.
// The constants cover the structs and the tables that point to them. A test compares them with the
// growth of the heap.
const (
	itemCost    = 80            // item and its slot in the table
	mainCost    = 184           // entries of a registered item in ristretto's two maps
	objectCost  = itemCost + 80 // Object that is not a record, and the pointer to it
	entryCost   = 368           // Entry and the pointer to it
	repCost     = 80            // Representation
	segmentCost = 24            // slice header
	stringCost  = 16            // string header
	spanCost    = 16
)

// cost returns the memory that o takes if it is not a record. A record takes less.
func (o *Object) cost() int64 {
	n := int64(objectCost + len(o.Key.Full))
	for _, e := range o.Variants {
		n += e.cost()
	}
	return n
}

// bodies returns the total size of all bodies.
func (o *Object) bodies() (n int64) {
	for _, e := range o.Variants {
		for i := range e.Representations {
			n += e.Representations[i].Body.Size
		}
	}
	return n
}

func (e *Entry) cost() int64 {
	n := int64(entryCost + len(e.ETag) + len(e.Vary) + len(e.Language) + spanCost*len(e.Spans))
	for _, tag := range e.Tags {
		n += int64(stringCost + len(tag))
	}
	for i := range e.Representations {
		r := &e.Representations[i]
		n += int64(repCost + len(r.Head))
		for _, s := range r.Body.Segments {
			n += int64(segmentCost + cap(s))
		}
	}
	return n
}

// largest returns the size of the largest body among the representations.
func (e *Entry) largest() (n int64) {
	for i := range e.Representations {
		n = max(n, e.Representations[i].Body.Size)
	}
	return n
}

const (
	minGrace = 5 * time.Minute
	maxGrace = time.Hour
)

// Over returns the end of all windows in which e may be used without asking the origin.
func (e *Entry) Over() time.Time {
	return e.Born.Add(e.Lifetime + max(e.StaleRevalid, e.StaleError))
}

// Expiry returns the time at which e may be removed. It lies some time after the windows, because e
// is still useful then: it can be revalidated for the price of a 304, be served to a client that
// accepts stale responses (max-stale), or be combined with missing ranges.
func (e *Entry) Expiry() time.Time {
	grace := minGrace
	if e.ETag != "" || !e.LastModified.IsZero() {
		grace = min(max(grace, e.Lifetime+max(e.StaleRevalid, e.StaleError)), maxGrace)
	}
	return e.Over().Add(grace)
}

// expiry returns the time at which the last variant may be removed.
func (o *Object) expiry() (last time.Time) {
	for _, e := range o.Variants {
		if t := e.Expiry(); t.After(last) {
			last = t
		}
	}
	return last
}

// with returns o with e as its first variant. e replaces the variant with the same Vary, or else a
// variant that is over. If there is neither, e is added, and the least used variants are removed
// until at most maxVariants remain.
func (o *Object) with(e *Entry, maxVariants int, now time.Time) *Object {
	i := slices.IndexFunc(o.Variants, func(v *Entry) bool { return v.Vary == e.Vary })
	if i >= 0 {
		e.picked.Store(o.Variants[i].picked.Load())
	}
	if i < 0 {
		i = slices.IndexFunc(o.Variants, func(v *Entry) bool { return v.Over().Before(now) })
	}
	rest := slices.Clone(o.Variants)
	if i >= 0 {
		rest = slices.Delete(rest, i, i+1)
	} else {
		for maxVariants > 0 && len(rest) >= maxVariants {
			at := leastUsed(rest)
			rest = slices.Delete(rest, at, at+1)
		}
	}
	variants := append(make([]*Entry, 0, len(rest)+1), e)
	variants = append(variants, rest...)
	return &Object{Key: o.Key, Variants: variants}
}

// swapped returns o with e in place of old, or nil if old is not among o's variants. It also
// removes another variant with e's Vary, since a 304 may change a field on which the response
// varies.
func (o *Object) swapped(old, e *Entry) *Object {
	at := slices.IndexFunc(o.Variants, func(v *Entry) bool { return v.same(old) })
	if at < 0 {
		return nil
	}
	variants := make([]*Entry, 0, len(o.Variants))
	for i, v := range o.Variants {
		switch {
		case i == at:
			variants = append(variants, e)
		case v.Vary != e.Vary:
			variants = append(variants, v)
		}
	}
	return &Object{Key: o.Key, Variants: variants}
}

// same reports whether e and f are one stored response. They need not be one Entry, because a tier
// may build an Entry for each Get.
func (e *Entry) same(f *Entry) bool { return e == f || e.Vary == f.Vary && Stamp(e) == Stamp(f) }

// fitted returns o without its oldest variants, so that it costs at most limit. It always keeps the
// first variant.
func (o *Object) fitted(limit int64) *Object {
	n := o.cost()
	keep := len(o.Variants)
	for keep > 1 && n > limit {
		keep--
		n -= o.Variants[keep].cost()
	}
	if keep == len(o.Variants) {
		return o
	}
	return &Object{Key: o.Key, Variants: slices.Clone(o.Variants[:keep])}
}

// mostPicks is the count of uses after which further uses no longer improve a variant's rank.
const mostPicks = 7

// Pick records that e was chosen among the variants of its object at now. It is cheap: a variant in
// constant use is written to once a second.
func (e *Entry) Pick(now time.Time) {
	old := e.picked.Load()
	if next := picked(now, min(old&mostPicks+1, mostPicks)); next != old {
		e.picked.Store(next) // if two calls race, only one counts
	}
}

// picked packs the time of the last choice, in seconds, with the number of choices in the lowest
// three bits.
func picked(now time.Time, times uint64) uint64 { return uint64(max(0, now.Unix()))<<3 | times }

// Inherit copies the use counts of old, which e replaces.
func (e *Entry) Inherit(old *Entry) {
	e.Uses.Store(old.Uses.Load())
	e.picked.Store(old.picked.Load())
}

// leastUsed returns the index of the variant to evict: the one with the fewest choices since it was
// stored. If several have the fewest, it is the one whose last choice is oldest, and then the one
// that was stored first.
//
// Counts come before recency because of clients that send ever new values of a varying field. Such
// a client evicts its own variants and not the ones that other clients use.
func leastUsed(variants []*Entry) int {
	at := 0
	for i, e := range variants {
		if lessUsed(e.picked.Load(), variants[at].picked.Load()) {
			at = i
		}
	}
	return at
}

// lessUsed reports whether a variant with picks a is evicted before one with picks b. It is true if
// both are equal.
func lessUsed(a, b uint64) bool {
	if a&mostPicks != b&mostPicks {
		return a&mostPicks < b&mostPicks
	}
	return a <= b
}
