package cache

import (
	"context"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

const (
	// codeAtOnce is the size up to which a coding that is missing is made while the first client that wants it waits: a millisecond or so.
	codeAtOnce = 128 << 10
	// hotUses is how often a coded representation is used before it is coded again at the best level.
	hotUses = 32
)

// represent picks the representation of e for x: the best that the client accepts of what is held or can be made quickly.
func (c *Cache) represent(x *exchange, e *store.Entry) *store.Representation {
	if e.Derivable == 0 {
		return &e.Representations[0]
	}
	accept := compress.Canonical(x.r.Header["Accept-Encoding"])
	held := heldCodings(e)
	var prefer []compress.Coding
	if x.res.Compress != nil {
		prefer = x.res.Compress.Encodings
	}
	want, ok := accept.Pick(held|e.Derivable, prefer)
	if !ok {
		return &e.Representations[0] // nothing suits; RFC 9110 §12.5.3 lets the answer disregard the field
	}
	if held.Has(want) {
		rep := repOf(e, want)
		c.warm(x, e, rep)
		return rep
	}
	if e.Representations[0].Body.Size <= codeAtOnce {
		if rep := c.derive(x.ctx, x.res, x.key, e, want, false); rep != nil {
			return rep
		}
	} else {
		res, key := x.res, x.key
		c.background(func(ctx context.Context) { c.derive(ctx, res, key, e, want, false) })
	}
	if second, ok := accept.Pick(held, prefer); ok {
		return repOf(e, second)
	}
	if rep := c.derive(x.ctx, x.res, x.key, e, want, false); rep != nil {
		return rep
	}
	return &e.Representations[0]
}

func heldCodings(e *store.Entry) compress.Set {
	var set compress.Set
	for i := range e.Representations {
		set = set.With(e.Representations[i].Coding)
	}
	return set
}

func repOf(e *store.Entry, coding compress.Coding) *store.Representation {
	for i := range e.Representations {
		if e.Representations[i].Coding == coding {
			return &e.Representations[i]
		}
	}
	return nil
}

// warm counts a use, and has what proves hot coded again at the best level, once.
func (c *Cache) warm(x *exchange, e *store.Entry, rep *store.Representation) {
	if rep.Best || rep.Coding == compress.Identity || rep == &e.Representations[0] {
		return
	}
	if e.Uses.Add(1) != hotUses {
		return
	}
	res, key, coding := x.res, x.key, rep.Coding
	c.background(func(ctx context.Context) { c.derive(ctx, res, key, e, coding, true) })
}

// derivation names a coding in the making.
type derivation struct {
	entry  *store.Entry
	coding compress.Coding
	best   bool
}

// derive makes e's body under coding, keeps it beside the others and returns it. It returns nil when another is at it or it can't be made.
func (c *Cache) derive(ctx context.Context, res *Resource, key cachepolicy.Key, e *store.Entry, coding compress.Coding, best bool) *store.Representation {
	d := derivation{e, coding, best}
	if _, busy := c.deriving.LoadOrStore(d, struct{}{}); busy {
		return nil
	}
	defer c.deriving.Delete(d)
	body, err := transcoded(&e.Representations[0], coding, res, best)
	if err != nil {
		c.log.Warn("changing the coding of a stored response failed", "route", res.Rules.Route, "coding", coding.String(), "err", err)
		return nil
	}
	rep := codedRepresentation(e.Status, e.Representations[0].Header(), coding, body, best)
	if coding != compress.Identity && rep.Body.Size >= e.Representations[0].Body.Size && e.Representations[0].Coding == compress.Identity {
		rep = asIncompressible(e, rep)
	}
	changed := withRepresentation(e, rep)
	if _, err := c.store.Replace(ctx, key, e, changed); err != nil {
		c.log.Debug("a coding was not kept", "route", res.Rules.Route, "err", err)
	}
	return repOf(changed, coding)
}

// asIncompressible notes that coding has gained nothing: the small loss is kept, and not tried again.
func asIncompressible(_ *store.Entry, rep store.Representation) store.Representation {
	rep.Best = true
	return rep
}

// transcoded is the body of rep under coding.
func transcoded(rep *store.Representation, coding compress.Coding, res *Resource, best bool) ([]byte, error) {
	segments := rep.Body.Segments
	if rep.Coding != compress.Identity {
		plain, err := compress.Decode(nil, rep.Coding, segments, res.decodeLimit())
		if err != nil || coding == compress.Identity {
			return plain, err
		}
		segments = [][]byte{plain}
	}
	level := 0
	if best {
		level = compress.Best(coding)
	} else {
		level = res.Compress.Level[coding]
	}
	return compress.Encode(nil, coding, level, segments)
}

// withRepresentation is e with rep in the place of the one of its coding, or beside the others.
func withRepresentation(e *store.Entry, rep store.Representation) *store.Entry {
	changed := &store.Entry{Meta: e.Meta, Tags: e.Tags, Derivable: e.Derivable}
	changed.Uses.Store(e.Uses.Load())
	replaced := false
	for _, r := range e.Representations {
		if r.Coding == rep.Coding {
			r, replaced = rep, true
		}
		changed.Representations = append(changed.Representations, r)
	}
	if !replaced {
		changed.Representations = append(changed.Representations, rep)
	}
	return changed
}

// maxDecodedRatio bounds how much a coded body may grow: the best that gzip can do is about 1000 to 1, and no honest text comes near.
const maxDecodedRatio = 400

// decodeLimit bounds what decoding for a client may cost.
func (res *Resource) decodeLimit() compress.Limit {
	return compress.Limit{Bytes: 16 * res.MaxObject, Ratio: maxDecodedRatio}
}
