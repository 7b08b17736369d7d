package cache

import (
	"context"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/cache/tiers"
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
func (c *Cache) represent(x *request, e *store.Entry) entry.Form {
	if e.Derivable == 0 {
		return entry.Form{Representation: e.Representations[0]}
	}
	accept := compress.Canonical(x.HTTP.Header["Accept-Encoding"])
	rep, want := x.res.Choose(e, accept)
	if rep != nil {
		c.warm(x.res, x.Key, e, rep)
		return entry.Form{Representation: *rep}
	}
	if rep := c.supply(x, e, want); rep != nil {
		return entry.Form{Representation: *rep}
	}
	if second, ok := accept.Pick(entry.HeldCodings(e)&x.res.Offered(e), x.res.Encodings()); ok {
		return entry.Form{Representation: *entry.RepresentationUnder(e, second)}
	}
	return entry.DecodedForm(e)
}

// supply makes the coding want. It makes it at once if that is quick, and otherwise in the
// background for later clients. It returns nil if the coding is not there yet.
func (c *Cache) supply(x *request, e *store.Entry, want compress.Coding) *store.Representation {
	to := c.tiers.Destination(&x.res.Policy, x.Key)
	switch {
	case e.Representations[0].Body.Size <= codeAtOnce:
		return c.derive(x.Ctx, to, e, want, false)
	case want != compress.Identity: // decoding is quick enough to do it for each client
		c.codeLater(to, e, want, false)
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
	c.codeLater(c.tiers.Destination(&res.Policy, key), e, rep.Coding, true)
}

// codeLater makes a coding in the background. At most as many codings are made at once as there are
// processors, because each takes the memory of a whole body. If all are busy, it does nothing: a
// later request asks again.
func (c *Cache) codeLater(to tiers.Destination, e *store.Entry, coding compress.Coding, best bool) {
	select {
	case c.coders <- struct{}{}:
	default:
		return
	}
	if !c.tasks.Go(func(ctx context.Context) {
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
func (c *Cache) derive(ctx context.Context, to tiers.Destination, e *store.Entry, coding compress.Coding, best bool) *store.Representation {
	d := derivation{e.Seq, to.Key.Hash, coding, best}
	if _, busy := c.deriving.LoadOrStore(d, struct{}{}); busy {
		return nil
	}
	defer c.deriving.Delete(d)
	// Another goroutine may have made it since the lookup.
	if now := c.tiers.BySeq(ctx, to.Key, e.Seq); now != nil {
		if rep := entry.RepresentationUnder(now, coding); rep != nil && (rep.Best || !best) {
			return rep
		}
	}
	first := &e.Representations[0]
	body, err := to.Policy.Transcoded(first, coding, best)
	if err != nil {
		c.log.Warn("changing the coding of a stored response failed", "route", to.Policy.Rules.Route, "coding", coding.String(), "error", err)
	}
	if coding != compress.Identity && (err != nil || first.Coding == compress.Identity && int64(len(body)) >= first.Body.Size) {
		c.tiers.Replace(ctx, to, e, func(e *store.Entry) *store.Entry { return entry.WithoutCoding(e, coding) })
		return nil
	}
	if err != nil {
		return nil
	}
	rep := entry.CodedRepresentation(e.Status, first.Header(), coding, store.NewBody(body))
	rep.Best = best
	return entry.RepresentationUnder(c.tiers.Replace(ctx, to, e, func(e *store.Entry) *store.Entry { return entry.WithRepresentation(e, rep) }), coding)
}
