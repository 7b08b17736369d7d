package store

import (
	"slices"
	"time"
)

// What a stored response costs, in bytes of memory. Strings and segments count with the bytes they hold on to; the constants stand for the
// structs around them and for the tables that point to them, and are held against the heap's growth by a test.
const (
	itemCost    = 80            // item and its place in the table
	mainCost    = 184           // of one that is registered: its places in ristretto's two maps
	objectCost  = itemCost + 80 // of one that is no record: Object, and the pointer to it
	entryCost   = 368           // Entry and the pointer to it
	repCost     = 80            // Representation
	segmentCost = 24            // slice header
	stringCost  = 16            // string header
	spanCost    = 16
)

// cost is the memory that o takes as it is. As a record it takes less.
func (o *Object) cost() int64 {
	n := int64(objectCost + len(o.Key.Full))
	for _, e := range o.Variants {
		n += e.cost()
	}
	return n
}

// bodies is how long all bodies together are.
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

// largest is the size of the largest body among the representations.
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

// Over is when e is past all the windows in which it may be used without asking the origin.
func (e *Entry) Over() time.Time {
	return e.Born.Add(e.Lifetime + max(e.StaleRevalid, e.StaleError))
}

// Expiry is when e may be forgotten. A while after its windows it is still of use: it can be validated for the price of a 304, be served to
// a client that accepts stale (max-stale), or be combined with the ranges that are missing.
func (e *Entry) Expiry() time.Time {
	grace := minGrace
	if e.ETag != "" || !e.LastModified.IsZero() {
		grace = min(max(grace, e.Lifetime+max(e.StaleRevalid, e.StaleError)), maxGrace)
	}
	return e.Over().Add(grace)
}

// expiry is when the last of the variants may be forgotten.
func (o *Object) expiry() (last time.Time) {
	for _, e := range o.Variants {
		if t := e.Expiry(); t.After(last) {
			last = t
		}
	}
	return last
}

// with is o and e, which comes first: in the place of the variant with the same Vary, else of one that is over, else beside the others.
func (o *Object) with(e *Entry, maxVariants int, now time.Time) (*Object, error) {
	i := slices.IndexFunc(o.Variants, func(v *Entry) bool { return v.Vary == e.Vary })
	if i < 0 {
		i = slices.IndexFunc(o.Variants, func(v *Entry) bool { return v.Over().Before(now) })
	}
	if i < 0 && maxVariants > 0 && len(o.Variants) >= maxVariants {
		return nil, ErrVariants
	}
	variants := make([]*Entry, 1, len(o.Variants)+1)
	variants[0] = e
	for j, v := range o.Variants {
		if j != i {
			variants = append(variants, v)
		}
	}
	return &Object{Key: o.Key, Variants: variants}, nil
}

// swapped is o with e in the place of old, and of another variant with e's Vary, should there be one: what an origin's answer changes may be what
// the response varies on. It is nil if old is not among o's variants.
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

// same reports whether e and f are one stored response. A tier may make an Entry anew each time it is asked for.
func (e *Entry) same(f *Entry) bool { return e == f || e.Vary == f.Vary && Stamp(e) == Stamp(f) }

// fitted is o without its oldest variants, so that it costs no more than limit; the first one stays in any case.
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
