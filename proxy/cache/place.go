package cache

import (
	"context"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

// place says where a response is to be stored, and when the call for it began.
type place struct {
	res   *Resource
	key   cachepolicy.Key
	begun uint64 // on doomed's clock
	epoch store.Epoch
	fence uint64   // of the lease under which the response is fetched; 0: no lease
	tags  []string // that follow from the request
	// lifted are the tags that the response names; nil: it has no such field.
	lifted []string
}

// place returns the place of the response to x, for a call that begins now.
func (c *Cache) place(x *request) place { return c.placeOf(x.res, x.key) }

func (c *Cache) placeOf(res *Resource, key cachepolicy.Key) place {
	p := place{res: res, key: key, begun: c.doomed.now()}
	if c.Epochs != nil {
		p.epoch = c.Epochs.Now()
	}
	return p
}

// tagsAfter returns the tags of the stored response e after a newer response: the tags that the
// newer response names, or e's own tags if it names no tags.
func (p *place) tagsAfter(e *store.Entry) []string {
	if p.lifted == nil {
		return e.Tags
	}
	return p.res.Tags.Joined(p.lifted, p.tags)
}

// keep stores e in memory and reports whether it did. It does not store e if the object was
// invalidated after the call for e began: a response that an unsafe method has made stale must not
// come back.
func (c *Cache) keep(ctx context.Context, p place, e *store.Entry) bool {
	e.Epoch, e.Fence = p.epoch, p.fence
	if !p.res.Tiers.Memory || c.doomed.since(p.key.Hash, p.begun) || p.res.Changes(ctx, p.key) || c.outdone(ctx, p.key, e) {
		return false
	}
	err := c.Store.Put(ctx, p.key, e, p.res.MaxVariants)
	if err != nil {
		c.Log.Debug("a response was not stored", "route", p.res.Rules.Route, "error", err)
	}
	c.revisions.bump(p.key.Hash)
	// The invalidation may have come between the check above and the Put. It dooms first and
	// deletes then, so one of the two sees the other.
	if c.doomed.since(p.key.Hash, p.begun) {
		c.Drop(ctx, p.key)
		return false
	}
	return err == nil
}

// outdone reports whether a better response than e is stored. That is a response that was received
// later, because its fill overtook e's. If e is a part, it is also the whole response while that is
// fresh: the request for the range then came too early. If e is whole and fresh, outdone returns
// false without a lookup.
func (c *Cache) outdone(ctx context.Context, key cachepolicy.Key, e *store.Entry) bool {
	if e.Complete() && e.Fresh(c.Now()) {
		return false
	}
	object, err := c.Store.Peek(ctx, key)
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

// maxReplace is the number of times that replace tries. It competes only with the codings that are
// being made of the same response, and these are few.
const maxReplace = 8

// replace replaces old by the entry that change makes of it. If the same response has meanwhile
// been replaced, because another coding was added, replace changes that entry, so that neither
// change is lost. If the response itself was replaced or removed, replace stores nothing. It always
// returns the result of change.
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

// again returns the stored response with the given Seq, or nil.
func (c *Cache) again(ctx context.Context, key cachepolicy.Key, seq uint64) *store.Entry {
	object, err := c.Store.Peek(ctx, key)
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

// freshen gives the stored response the lifetime that a 304 or the response to a HEAD states (RFC
// 9111 §4.3.4, §4.3.5). A response that was deleted meanwhile does not come back.
func (c *Cache) freshen(ctx context.Context, p place, stored *store.Entry, v *cachepolicy.Verdict) *store.Entry {
	change := func(e *store.Entry) *store.Entry {
		fresh := p.res.Freshened(e, v, p.tagsAfter(e))
		fresh.Epoch, fresh.Fence = p.epoch, p.fence
		return fresh
	}
	if c.doomed.since(p.key.Hash, p.begun) || p.res.Changes(ctx, p.key) {
		return change(stored)
	}
	e := c.replace(ctx, p, stored, change)
	c.revisions.bump(p.key.Hash)
	return e
}

// Drop removes all responses stored under k, and keeps pending fills from storing theirs there (RFC
// 9111 §4.4). It does so even if the client whose request caused this no longer waits.
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
