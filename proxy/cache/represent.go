package cache

import (
	"context"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/store"
)

const (
	// codeAtOnce is the body size up to which a missing coding is made while the first client that
	// wants it waits: about a millisecond.
	codeAtOnce = 128 << 10
	// hotUses is the number of uses of coded representations after which the one in use is coded
	// again at the best level.
	hotUses = 32
)

// represent returns the form of e for x: the best that the client accepts among the held
// representations and the codings that can be made quickly.
func (c *Cache) represent(x *exchange, e *store.Entry) deliver.Form {
	if e.Derivable == 0 {
		return deliver.Form{Representation: e.Representations[0]}
	}
	accept := compress.Canonical(x.r.Header["Accept-Encoding"])
	rep, want := x.res.held(e, accept)
	if rep != nil {
		c.warm(x.res, x.key, e, rep)
		return deliver.Form{Representation: *rep}
	}
	if rep := c.supply(x, e, want); rep != nil {
		return deliver.Form{Representation: *rep}
	}
	if second, ok := accept.Pick(heldCodings(e)&x.res.offered(e), x.res.encodings()); ok {
		return deliver.Form{Representation: *repOf(e, second)}
	}
	return decodedForm(e)
}

// held returns the representation of e for a client that accepts these codings, if e has it.
// Otherwise it returns nil and the coding that must be made.
func (res *Resource) held(e *store.Entry, accept compress.Accept) (rep *store.Representation, want compress.Coding) {
	first := &e.Representations[0]
	if e.Derivable == 0 {
		return first, first.Coding
	}
	want, ok := accept.Pick((heldCodings(e)|e.Derivable)&res.offered(e), res.encodings())
	// If no coding suits, RFC 9110 §12.5.3 lets the cache disregard the field. Every client can
	// read a body without a coding.
	if !ok {
		want = first.Coding
		if e.Derivable.Has(compress.Identity) {
			want = compress.Identity
		}
	}
	return repOf(e, want), want
}

// offered returns the codings under which the route gives e to clients: the origin's own, identity,
// and the route's codings. The route may have had other codings when e was stored, and may make no
// codings now.
func (res *Resource) offered(e *store.Entry) compress.Set {
	set := compress.SetOf(compress.Identity)
	set.Add(e.Representations[0].Coding)
	for _, c := range res.encodings() {
		set.Add(c)
	}
	return set
}

// encodings returns the route's codings, the preferred one first.
func (res *Resource) encodings() []compress.Coding {
	if res.Compress == nil {
		return nil
	}
	return res.Compress.Encodings
}

// supply makes the coding want. It makes it at once if that is quick, and otherwise in the
// background for later clients. It returns nil if the coding is not there yet.
func (c *Cache) supply(x *exchange, e *store.Entry, want compress.Coding) *store.Representation {
	to := c.place(&x.request)
	switch {
	case e.Representations[0].Body.Size <= codeAtOnce:
		return c.derive(x.ctx, to, e, want, false)
	case want != compress.Identity: // decoding is quick enough to do it for each client
		c.codeLater(to, e, want, false)
	}
	return nil
}

// decodedForm returns e in a form that is decoded during delivery, for a client that accepts no
// held representation.
func decodedForm(e *store.Entry) deliver.Form {
	first := &e.Representations[0]
	if first.Coding == compress.Identity || !e.Derivable.Has(compress.Identity) {
		return deliver.Form{Representation: *first}
	}
	return deliver.Form{Representation: codedRepresentation(e.Status, first.Header(), compress.Identity, store.Body{}), From: first}
}

func heldCodings(e *store.Entry) compress.Set {
	var set compress.Set
	for i := range e.Representations {
		set.Add(e.Representations[i].Coding)
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

// warm counts a use of a representation that was coded here, and has a hot one coded again at the
// best level. Each time the count reaches hotUses, the coding in use at that moment has its turn.
// So each of several codings has its turn in time, and a coding that could not be kept is not tried
// at each use.
func (c *Cache) warm(res *Resource, key cachepolicy.Key, e *store.Entry, rep *store.Representation) {
	if rep.Best || rep.Coding == compress.Identity || rep == &e.Representations[0] || e.Uses.Add(1)%hotUses != 0 {
		return
	}
	c.codeLater(c.placeOf(res, key), e, rep.Coding, true)
}

// codeLater makes a coding in the background. At most as many codings are made at once as there are
// processors, because each takes the memory of a whole body. If all are busy, it does nothing: a
// later request asks again.
func (c *Cache) codeLater(to place, e *store.Entry, coding compress.Coding, best bool) {
	select {
	case c.coders <- struct{}{}:
	default:
		return
	}
	if !c.background(func(ctx context.Context) {
		defer func() { <-c.coders }()
		c.derive(ctx, to, e, coding, best)
	}) {
		<-c.coders
	}
}

// derivation identifies a coding that is being made.
type derivation struct {
	response uint64 // Seq
	key      [16]byte
	coding   compress.Coding
	best     bool
}

// derive makes e's body under coding, keeps it beside the others and returns it. It returns nil if
// another goroutine is making it, if it cannot be made, or if it is not smaller. An encoding that
// fails or saves nothing is noted, so that it is not tried again.
func (c *Cache) derive(ctx context.Context, to place, e *store.Entry, coding compress.Coding, best bool) *store.Representation {
	d := derivation{e.Seq, to.key.Hash, coding, best}
	if _, busy := c.deriving.LoadOrStore(d, struct{}{}); busy {
		return nil
	}
	defer c.deriving.Delete(d)
	// Another goroutine may have made it since the lookup.
	if now := c.again(ctx, to.key, e.Seq); now != nil {
		if rep := repOf(now, coding); rep != nil && (rep.Best || !best) {
			return rep
		}
	}
	first := &e.Representations[0]
	body, err := transcoded(first, coding, to.res, best)
	if err != nil {
		c.Log.Warn("changing the coding of a stored response failed", "route", to.res.Rules.Route, "coding", coding.String(), "error", err)
	}
	if coding != compress.Identity && (err != nil || first.Coding == compress.Identity && int64(len(body)) >= first.Body.Size) {
		c.replace(ctx, to, e, func(e *store.Entry) *store.Entry { return withoutCoding(e, coding) })
		return nil
	}
	if err != nil {
		return nil
	}
	rep := codedRepresentation(e.Status, first.Header(), coding, store.NewBody(body))
	rep.Best = best
	return repOf(c.replace(ctx, to, e, func(e *store.Entry) *store.Entry { return withRepresentation(e, rep) }), coding)
}

// transcoded returns the body of rep under coding. It decodes no more than may be stored.
func transcoded(rep *store.Representation, coding compress.Coding, res *Resource, best bool) ([]byte, error) {
	segments := rep.Body.Segments
	if rep.Coding != compress.Identity {
		plain, err := compress.Decode(nil, rep.Coding, segments, compress.Limit{Bytes: res.MaxObject, Ratio: entry.MaxDecodedRatio})
		if err != nil || coding == compress.Identity {
			return plain, err
		}
		segments = [][]byte{plain}
	}
	level := res.Compress.Level[coding]
	if best {
		level = compress.Best(coding)
	}
	return compress.Encode(nil, coding, level, segments)
}

// withRepresentation returns a copy of e with rep. rep replaces the representation of the same
// coding, if e has one.
func withRepresentation(e *store.Entry, rep store.Representation) *store.Entry {
	changed := withoutCoding(e, rep.Coding)
	changed.Derivable = e.Derivable
	changed.Representations = append(changed.Representations, rep)
	return changed
}

// withoutCoding returns a copy of e without the representation that was made under coding. That
// coding is not made again.
func withoutCoding(e *store.Entry, coding compress.Coding) *store.Entry {
	changed := clone(e)
	changed.Derivable = e.Derivable &^ compress.SetOf(coding)
	changed.Representations = nil
	for i, r := range e.Representations {
		if i == 0 || r.Coding != coding {
			changed.Representations = append(changed.Representations, r)
		}
	}
	return changed
}

// clone returns a copy of e that the caller may change until it publishes it.
func clone(e *store.Entry) *store.Entry {
	c := &store.Entry{Meta: e.Meta, Representations: e.Representations, Tags: e.Tags, Epoch: e.Epoch, Fence: e.Fence, Derivable: e.Derivable}
	c.Inherit(e)
	return c
}
