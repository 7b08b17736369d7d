package tiers

import (
	"context"
	"errors"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// Sighting is the result of a lookup in one tier.
type Sighting struct {
	Object *store.Object // all responses stored under the key; nil if there are no responses
	err    error         // why there is no object
	Stored *store.Entry  // the variant that the request selects; nil if no variant fits
	Ruled  *store.Entry  // Stored, as the route's rules would store it now; nil: they would not store it
	Entry  *store.Entry  // Ruled, after the history of purges was applied; nil: the request may not have it
}

// Finding is a sighting with the rules' decision about it.
type Finding struct {
	Sighting
	// Current is true if Stored was stored under the rules that the route has now.
	Current  bool
	Decision cachepolicy.Decision // about Entry
	Variation
}

// Query is a request as lookups see it.
type Query struct {
	Policy  *entry.Policy // of its route
	Key     cachepolicy.Key
	Request *cachepolicy.Request
}

// Examine picks the variant of object that q selects, and decides how it may be used. object may be
// nil. The connection, the handler, fills and explanations all decide here.
func (t *Tiers) Examine(q Query, object *store.Object, at Moment) Finding {
	f := Finding{Sighting: Sighting{Object: object}}
	if object != nil {
		f.pick(q.Request)
		f.Ruled = f.Stored
		if f.Current = f.Stored != nil && q.Policy.Current(f.Stored); !f.Current {
			f.Ruled = q.Policy.Rejudged(f.Stored, at.Jitter)
		}
		f.Entry = t.Alive(q.Key, f.Ruled, at.Now)
	}
	if f.Decision = q.Policy.Rules.Decide(q.Request, entry.MetaOf(f.Entry), at.Now, at.Chance); !f.Current {
		f.Decision = q.Policy.UnderRules(f.Entry, f.Decision)
	}
	if f.Decision.Reason == cachepolicy.ReasonCookie {
		// The client may not share the entry. The request goes on as if nothing were stored, but
		// knows the fields that responses vary on.
		f.Vary, f.Entry = f.Entry.Vary, nil
	}
	return f
}

// pick picks the variant that q selects.
func (f *Finding) pick(q *cachepolicy.Request) {
	list := f.Object.Variants
	if i := cachepolicy.Select(q, list); i >= 0 {
		f.Stored = list[i]
	} else if len(list) > 0 {
		f.VaryMiss, f.Vary = true, list[0].Vary
	}
}

// ConsultMemory looks q up in memory.
func (t *Tiers) ConsultMemory(ctx context.Context, q Query, at Moment) Finding {
	var object *store.Object
	err := errNoTier
	if q.Policy.Tiers.Memory {
		object, err = t.Store.Peek(ctx, q.Key)
	}
	f := t.Examine(q, object, at)
	f.err = err
	return f
}

// errNoTier says that the route does not use a tier.
var errNoTier = errors.New("the route does not use this tier")

// ConsultShared looks q up in the tier that the instances share, within b.
func (t *Tiers) ConsultShared(ctx context.Context, q Query, b *Budget, at Moment) Finding {
	object, err := t.fromShared(ctx, q, b)
	if err != nil {
		return Finding{Sighting: Sighting{err: err}}
	}
	if t.Epochs != nil {
		// Each entry has just been decoded, and no other goroutine has it.
		for _, e := range object.Variants {
			e.Epoch = t.Epochs.CapToKnown(e.Epoch)
		}
	}
	return t.Examine(q, object, at)
}

func (t *Tiers) fromShared(ctx context.Context, q Query, b *Budget) (*store.Object, error) {
	bounded, cancel, err := b.bound(ctx, t.SharedBudget)
	if err != nil {
		return nil, err
	}
	defer cancel()
	ev := observe.FromContext(ctx)
	step := ev.Step(observe.StepRedis, "GET")
	object, err := t.Shared.Get(bounded, q.Key, q.Request)
	ev.EndStep(step, failed(err))
	if failed(err) != nil {
		b.end() // the tier reports its own trouble; this request asks it for nothing more
	}
	return object, err
}

// failed returns err, or nil if err only says that no response is stored.
func failed(err error) error {
	if errors.Is(err, store.ErrMiss) {
		return nil
	}
	return err
}

// SettleLookups carries out the effects of the lookups of q in memory and in the shared tier.
// Memory counts them. A response from the shared tier is taken into memory. If the rules have
// changed a response's lifetime, the changed response replaces the stored one.
func (t *Tiers) SettleLookups(ctx context.Context, q Query, memory, shared *Sighting) {
	switch m := memory; {
	case m.err == nil:
		t.Store.CountHit(q.Key)
		t.renew(ctx, q, m)
	case errors.Is(m.err, store.ErrMiss):
		t.Store.CountMiss(q.Key)
	case m.err != errNoTier: // a failing store counts as an empty one: the origin has the response
		t.Log.Warn("looking a response up failed; asking the origin", "error", m.err)
	}
	t.Promote(ctx, q, shared)
}

// renew replaces the stored response in memory by the same response with the lifetime that the
// route's rules give it now.
func (t *Tiers) renew(ctx context.Context, q Query, f *Sighting) {
	if f.Ruled == f.Stored || f.Ruled == nil {
		return
	}
	jitter := t.Random()
	t.Replace(ctx, t.Destination(q.Policy, q.Key), f.Stored, func(e *store.Entry) *store.Entry {
		if e == f.Stored {
			return f.Ruled
		}
		if changed := q.Policy.Rejudged(e, jitter); changed != nil {
			return changed
		}
		return e
	})
}

// Promote takes a response of the shared tier into memory, with the rest of its lifetime.
func (t *Tiers) Promote(ctx context.Context, q Query, f *Sighting) {
	if f.Ruled == nil {
		return
	}
	// Seq orders the responses that this instance has stored. The entry has just been decoded, and
	// no other goroutine has it.
	f.Ruled.Seq = t.NextSeq()
	if f.Entry != nil {
		f.Entry.Seq = f.Ruled.Seq
	}
	if !q.Policy.Tiers.Memory {
		return
	}
	if err := t.Store.Put(ctx, q.Key, f.Ruled, q.Policy.MaxVariants); err != nil {
		t.Log.Debug("a shared response was not taken into memory", "route", q.Policy.Rules.Route, "error", err)
	}
	t.Revisions.bump(q.Key.Hash)
}
