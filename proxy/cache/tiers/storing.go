package tiers

import (
	"context"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/store"
)

// Destination says where a response is to be stored, and when the call for it began.
type Destination struct {
	Policy      *entry.Policy
	Key         cachepolicy.Key
	Begun       uint64 // on the clock of Invalidations
	Epoch       store.Epoch
	Fence       uint64   // of the lease under which the response is fetched; 0: no lease
	RequestTags []string // that follow from the request
	// NamedTags are the tags that the response names; nil: it has no such field.
	NamedTags []string
}

// Destination returns the destination of the response under a key, for a call that begins now.
func (t *Tiers) Destination(policy *entry.Policy, key cachepolicy.Key) Destination {
	p := Destination{Policy: policy, Key: key, Begun: t.Invalidations.Now()}
	if t.Epochs != nil {
		p.Epoch = t.Epochs.Now()
	}
	return p
}

// TagsAfter returns the tags of the stored response e after a newer response: the tags that the
// newer response names, or e's own tags if it names no tags.
func (p *Destination) TagsAfter(e *store.Entry) []string {
	if p.NamedTags == nil {
		return e.Tags
	}
	return p.Policy.Tags.Joined(p.NamedTags, p.RequestTags)
}

// Keep stores e in memory and reports whether it did. It does not store e if the object was
// invalidated after the call for e began: a response that an unsafe method has made stale must not
// come back.
func (t *Tiers) Keep(ctx context.Context, p Destination, e *store.Entry) bool {
	e.Epoch, e.Fence = p.Epoch, p.Fence
	if !p.Policy.Tiers.Memory || t.Invalidations.Since(p.Key.Hash, p.Begun) || p.Policy.Changes(ctx, p.Key) || t.superseded(ctx, p.Key, e) {
		return false
	}
	err := t.Store.Put(ctx, p.Key, e, p.Policy.MaxVariants)
	if err != nil {
		t.Log.Debug("a response was not stored", "route", p.Policy.Rules.Route, "error", err)
	}
	t.Revisions.bump(p.Key.Hash)
	// The invalidation may have come between the check above and the Put. Drop notes it first and
	// deletes then, so one of the two sees the other.
	if t.Invalidations.Since(p.Key.Hash, p.Begun) {
		t.Drop(ctx, p.Key)
		return false
	}
	return err == nil
}

// superseded reports whether a better response than e is stored. That is a response that was
// received later, because its fill overtook e's. If e is a part, it is also the whole response
// while that is fresh: the request for the range then came too early. If e is whole and fresh,
// superseded returns false without a lookup.
func (t *Tiers) superseded(ctx context.Context, key cachepolicy.Key, e *store.Entry) bool {
	if e.Complete() && e.Fresh(t.Now()) {
		return false
	}
	object, err := t.Store.Peek(ctx, key)
	if err != nil {
		return false
	}
	for _, v := range object.Variants {
		if v.Vary != e.Vary || !v.Complete() {
			continue
		}
		if v.Received.After(e.Received) || !e.Complete() && v.ETag == e.ETag && v.Fresh(t.Now()) {
			return true
		}
	}
	return false
}

// maxReplace is the number of times that replace tries. It competes only with the codings that are
// being made of the same response, and these are few.
const maxReplace = 8

// Replace replaces old by the entry that change makes of it. If the same response has meanwhile
// been replaced, because another coding was added, replace changes that entry, so that neither
// change is lost. If the response itself was replaced or removed, replace stores nothing. It always
// returns the result of change.
func (t *Tiers) Replace(ctx context.Context, p Destination, old *store.Entry, change func(*store.Entry) *store.Entry) *store.Entry {
	first := change(old)
	for e, try := first, 0; try < maxReplace; try++ {
		done, err := t.Store.Replace(ctx, p.Key, old, e)
		if err != nil {
			t.Log.Debug("a changed response was not stored", "route", p.Policy.Rules.Route, "error", err)
			return first
		}
		if done {
			return e
		}
		if old = t.BySeq(ctx, p.Key, old.Seq); old == nil {
			return first
		}
		e = change(old)
	}
	return first
}

// BySeq returns the stored response with the given Seq, or nil.
func (t *Tiers) BySeq(ctx context.Context, key cachepolicy.Key, seq uint64) *store.Entry {
	object, err := t.Store.Peek(ctx, key)
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

// Freshen gives the stored response the lifetime that a 304 or the response to a HEAD states (RFC
// 9111 §4.3.4, §4.3.5). A response that was deleted meanwhile does not come back.
func (t *Tiers) Freshen(ctx context.Context, p Destination, stored *store.Entry, v *cachepolicy.Verdict) *store.Entry {
	change := func(e *store.Entry) *store.Entry {
		fresh := p.Policy.Freshened(e, v, p.TagsAfter(e))
		fresh.Epoch, fresh.Fence = p.Epoch, p.Fence
		return fresh
	}
	if t.Invalidations.Since(p.Key.Hash, p.Begun) || p.Policy.Changes(ctx, p.Key) {
		return change(stored)
	}
	e := t.Replace(ctx, p, stored, change)
	t.Revisions.bump(p.Key.Hash)
	return e
}

// Drop removes all responses stored under k, and keeps pending fills from storing theirs there (RFC
// 9111 §4.4). It does so even if the client whose request caused this no longer waits.
func (t *Tiers) Drop(ctx context.Context, k cachepolicy.Key) {
	ctx = context.WithoutCancel(ctx)
	t.Invalidations.add(k.Hash)
	if err := t.Store.Delete(ctx, k); err != nil {
		t.Log.Warn("removing a stored response failed", "error", err)
	}
	if t.Shared != nil && t.Shared.Usable() {
		if err := t.Shared.Delete(ctx, k); err != nil {
			t.Log.Debug("removing a shared response failed", "error", err)
		}
	}
}
