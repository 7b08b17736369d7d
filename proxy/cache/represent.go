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
	// hotUses is how often coded representations are used before the one in use is coded again at the best level.
	hotUses = 32
)

// form is how an entry is delivered.
type form struct {
	store.Representation
	from *store.Representation // set: the body is decoded from this one on the way
}

// represent picks the form of e for x: the best that the client accepts of what is held or can be made quickly.
func (c *Cache) represent(x *exchange, e *store.Entry) form {
	if e.Derivable == 0 {
		return form{Representation: e.Representations[0]}
	}
	accept := compress.Canonical(x.r.Header["Accept-Encoding"])
	rep, want := x.res.held(e, accept)
	if rep != nil {
		c.warm(x.res, x.key, e, rep)
		return form{Representation: *rep}
	}
	if rep := c.supply(x, e, want); rep != nil {
		return form{Representation: *rep}
	}
	if second, ok := accept.Pick(heldCodings(e), x.res.encodings()); ok {
		return form{Representation: *repOf(e, second)}
	}
	return decodedForm(e)
}

// held is the representation of e that a client is given who accepts these codings, if it is there; else it is nil, and what is wanted is to be made.
func (res *Resource) held(e *store.Entry, accept compress.Accept) (rep *store.Representation, want compress.Coding) {
	first := &e.Representations[0]
	if e.Derivable == 0 {
		return first, first.Coding
	}
	held := heldCodings(e)
	want, ok := accept.Pick(held|e.Derivable, res.encodings())
	if !ok {
		return first, first.Coding // nothing suits; RFC 9110 §12.5.3 lets the answer disregard the field
	}
	return repOf(e, want), want
}

// encodings are the codings of the route, the preferred first.
func (res *Resource) encodings() []compress.Coding {
	if res.Compress == nil {
		return nil
	}
	return res.Compress.Encodings
}

// supply makes the coding that is wanted: at once where that is quick, else in the background for those who come later.
func (c *Cache) supply(x *exchange, e *store.Entry, want compress.Coding) *store.Representation {
	to := c.place(x)
	switch {
	case e.Representations[0].Body.Size <= codeAtOnce:
		return c.derive(x.ctx, to, e, want, false)
	case want != compress.Identity: // decoding is quick enough to do it for each client
		c.codeLater(to, e, want, false)
	}
	return nil
}

// decodedForm is e decoded on the way, for a client that reads nothing of what is held.
func decodedForm(e *store.Entry) form {
	first := &e.Representations[0]
	if first.Coding == compress.Identity || !e.Derivable.Has(compress.Identity) {
		return form{Representation: *first}
	}
	return form{Representation: codedRepresentation(e.Status, first.Header(), compress.Identity, store.Body{}), from: first}
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

// warm counts a use of what was coded here, and has what proves hot coded again at the best level. Each time the count is reached the coding
// then in use has its turn, so that with several in use all get there, and a coding that could not be kept is not tried at each use.
func (c *Cache) warm(res *Resource, key cachepolicy.Key, e *store.Entry, rep *store.Representation) {
	if rep.Best || rep.Coding == compress.Identity || rep == &e.Representations[0] || e.Uses.Add(1)%hotUses != 0 {
		return
	}
	c.codeLater(c.placeOf(res, key), e, rep.Coding, true)
}

// codeLater makes a coding in the background. As many are made at once as there are processors; more are left to those who ask later, for each takes the memory of
// a whole body.
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

// derivation names a coding in the making.
type derivation struct {
	response uint64 // Seq
	key      [16]byte
	coding   compress.Coding
	best     bool
}

// derive makes e's body under coding, keeps it beside the others and returns it. It returns nil when another is at it, when it can't be made,
// or when it gains nothing, which is noted so that it is not tried again.
func (c *Cache) derive(ctx context.Context, to place, e *store.Entry, coding compress.Coding, best bool) *store.Representation {
	d := derivation{e.Seq, to.key.Hash, coding, best}
	if _, busy := c.deriving.LoadOrStore(d, struct{}{}); busy {
		return nil
	}
	defer c.deriving.Delete(d)
	if now := c.again(ctx, to.key, e.Seq); now != nil { // made by another between the lookup and here
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

// transcoded is the body of rep under coding. No more is decoded than may be stored.
func transcoded(rep *store.Representation, coding compress.Coding, res *Resource, best bool) ([]byte, error) {
	segments := rep.Body.Segments
	if rep.Coding != compress.Identity {
		plain, err := compress.Decode(nil, rep.Coding, segments, compress.Limit{Bytes: res.MaxObject, Ratio: maxDecodedRatio})
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

// withRepresentation is e with rep in the place of the one of its coding, or beside the others.
func withRepresentation(e *store.Entry, rep store.Representation) *store.Entry {
	changed := withoutCoding(e, rep.Coding)
	changed.Derivable = e.Derivable
	changed.Representations = append(changed.Representations, rep)
	return changed
}

// withoutCoding is e without the representation that was made under coding, and which is not to be made.
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

// clone is another Entry with all that e has, to be changed before anybody else sees it.
func clone(e *store.Entry) *store.Entry {
	c := &store.Entry{Meta: e.Meta, Representations: e.Representations, Tags: e.Tags, Epoch: e.Epoch, Fence: e.Fence, Derivable: e.Derivable}
	c.Uses.Store(e.Uses.Load())
	return c
}
