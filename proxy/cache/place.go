package cache

import (
	"context"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// place is where a response is to be stored, and since when it is on its way there.
type place struct {
	res   *Resource
	key   cachepolicy.Key
	begun uint64 // on doomed's clock
	epoch store.Epoch
	fence uint64   // of the lease under which it is fetched, 0 without one
	tags  []string // that follow from the request
}

// place is where the response to x is to be stored, which sets out now.
func (c *Cache) place(x *exchange) place { return c.placeOf(x.res, x.key) }

func (c *Cache) placeOf(res *Resource, key cachepolicy.Key) place {
	p := place{res: res, key: key, begun: c.doomed.now()}
	if c.Epochs != nil {
		p.epoch = c.Epochs.Now()
	}
	return p
}

// keep stores e unless the object was invalidated after it set out: what an unsafe method has made stale must not come back.
func (c *Cache) keep(ctx context.Context, p place, e *store.Entry) {
	e.Epoch, e.Fence = p.epoch, p.fence
	if !p.res.Tiers.Memory || c.doomed.since(p.key.Hash, p.begun) || c.outdone(ctx, p.key, e) {
		return
	}
	if err := c.Store.Put(ctx, p.key, e, p.res.MaxVariants); err != nil {
		c.Log.Debug("a response was not stored", "route", p.res.Rules.Route, "error", err)
	}
	// The invalidation may have come between the look above and the Put: it dooms first and deletes then, so one of the two sees the other.
	if c.doomed.since(p.key.Hash, p.begun) {
		c.Drop(ctx, p.key)
	}
}

// outdone reports whether what is stored is better than e: a response that was received later, of a fill that overtook e's, or, where e is a part, the
// whole of it while it is fresh, for which a request for a range came too early. What is whole and fresh is stored without the question.
func (c *Cache) outdone(ctx context.Context, key cachepolicy.Key, e *store.Entry) bool {
	if e.Complete() && e.Fresh(c.Now()) {
		return false
	}
	object, err := c.Store.Try(ctx, key)
	if err != nil {
		return false
	}
	for _, v := range object.Variants {
		if v.Vary != e.Vary || !v.Complete() {
			continue
		}
		if v.Received.After(e.Received) || !e.Complete() && v.ETag == e.ETag && v.Fresh(c.Now()) {
			return true
		}
	}
	return false
}

// maxReplace is how often replace tries again. What it competes with are codings that are being made of the same response, of which there are few.
const maxReplace = 8

// replace puts what change makes of old in its place, or of what has meanwhile come into its place of the same response: another coding, with
// which neither is to be lost. Where the response itself was replaced or removed nothing is stored. What change made is returned in any case.
func (c *Cache) replace(ctx context.Context, p place, old *store.Entry, change func(*store.Entry) *store.Entry) *store.Entry {
	first := change(old)
	for e, try := first, 0; try < maxReplace; try++ {
		done, err := c.Store.Replace(ctx, p.key, old, e)
		if err != nil {
			c.Log.Debug("a changed response was not stored", "route", p.res.Rules.Route, "error", err)
			return first
		}
		if done {
			return e
		}
		if old = c.again(ctx, p.key, old.Seq); old == nil {
			return first
		}
		e = change(old)
	}
	return first
}

// again is the stored response with the given Seq, or nil.
func (c *Cache) again(ctx context.Context, key cachepolicy.Key, seq uint64) *store.Entry {
	object, err := c.Store.Try(ctx, key)
	if err != nil {
		return nil
	}
	for _, e := range object.Variants {
		if e.Seq == seq {
			return e
		}
	}
	return nil
}

// freshen gives the stored response the life that a 304 or the answer to a HEAD says (RFC 9111 §4.3.4, §4.3.5). What was deleted meanwhile
// does not come back.
func (c *Cache) freshen(ctx context.Context, p place, stored *store.Entry, v *cachepolicy.Verdict) *store.Entry {
	change := func(e *store.Entry) *store.Entry {
		fresh := freshened(e, v, p)
		fresh.Epoch, fresh.Fence = p.epoch, p.fence
		return fresh
	}
	if c.doomed.since(p.key.Hash, p.begun) {
		return change(stored)
	}
	return c.replace(ctx, p, stored, change)
}

// freshened is e with the fields and the life that the verdict gives it (RFC 9111 §3.2), and the same body.
func freshened(e *store.Entry, v *cachepolicy.Verdict, p place) *store.Entry {
	h := v.Header.Clone()
	p.res.Rules.StripUnstorable(h)
	tags := retagged(e, h, p)
	ensureDate(h, v.Meta.Received)
	if e.Derivable != 0 {
		compress.AddVary(h)
	}
	fresh := &store.Entry{Meta: v.Meta, Tags: tags, Derivable: e.Derivable, Representations: make([]store.Representation, len(e.Representations))}
	fresh.Uses.Store(e.Uses.Load())
	for i, rep := range e.Representations {
		head := h
		if i > 0 {
			head = codedHeader(h, rep.Coding)
		}
		rep.Head = store.BuildHead(e.Status, head, dropFromStored)
		fresh.Representations[i] = rep
	}
	return fresh
}

// retagged is what e is tagged with after an answer with the header h, which loses its tag field: what that says, or what e had where it says nothing.
func retagged(e *store.Entry, h http.Header, p place) []string {
	if name := p.res.Tags.Header; name == "" || len(h[name]) == 0 {
		return e.Tags
	}
	return p.res.Tags.take(h, p.tags)
}

// Drop removes all that is stored under k, and what fills under way would store there (RFC 9111 §4.4). It does so whether or not the client whose
// request has shown that it is stale still waits.
func (c *Cache) Drop(ctx context.Context, k cachepolicy.Key) {
	ctx = context.WithoutCancel(ctx)
	c.doomed.add(k.Hash)
	if err := c.Store.Delete(ctx, k); err != nil {
		c.Log.Warn("removing a stored response failed", "error", err)
	}
	if c.Shared != nil && c.Shared.Usable() {
		if err := c.Shared.Delete(ctx, k); err != nil {
			c.Log.Debug("removing a shared response failed", "error", err)
		}
	}
}
