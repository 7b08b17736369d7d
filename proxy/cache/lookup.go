package cache

import (
	"context"
	"errors"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// sighting is the result of a lookup in one tier.
type sighting struct {
	object *store.Object // all responses stored under the key; nil if there are no responses
	err    error         // why there is no object
	stored *store.Entry  // the variant that the request selects; nil if no variant fits
	ruled  *store.Entry  // stored, as the route's rules would store it now; nil: they would not store it
	entry  *store.Entry  // ruled, after the history of purges was applied; nil: the request may not have it
}

// finding is a sighting with the rules' decision about it.
type finding struct {
	sighting
	// current is true if stored was stored under the rules that the route has now.
	current  bool
	decision cachepolicy.Decision // about entry
	variation
}

// examine picks the variant of object that q selects, and decides how it may be used. object may be
// nil. The connection, the handler, fills and explanations all decide here.
func (c *Cache) examine(res *Resource, k cachepolicy.Key, q *cachepolicy.Request, object *store.Object, at moment) finding {
	f := finding{sighting: sighting{object: object}}
	if object != nil {
		f.pick(q)
		f.ruled = f.stored
		if f.current = f.stored != nil && res.Current(f.stored); !f.current {
			f.ruled = res.Rejudged(f.stored, at.jitter)
		}
		f.entry = c.alive(k, f.ruled, at.now)
	}
	if f.decision = res.Rules.Decide(q, entry.MetaOf(f.entry), at.now, at.chance); !f.current {
		f.decision = res.UnderRules(f.entry, f.decision)
	}
	if f.decision.Reason == cachepolicy.ReasonCookie {
		// The client may not share the entry. The request goes on as if nothing were stored, but
		// knows the fields that responses vary on.
		f.vary, f.entry = f.entry.Vary, nil
	}
	return f
}

// pick picks the variant that q selects.
func (f *finding) pick(q *cachepolicy.Request) {
	list := f.object.Variants
	if i := cachepolicy.Select(q, list); i >= 0 {
		f.stored = list[i]
	} else if len(list) > 0 {
		f.varyMiss, f.vary = true, list[0].Vary
	}
}

// consultMemory looks x up in memory.
func (c *Cache) consultMemory(x *request, at moment) finding {
	var object *store.Object
	err := errNoTier
	if x.res.Tiers.Memory {
		object, err = c.Store.Peek(x.ctx, x.key)
	}
	f := c.examine(x.res, x.key, &x.q, object, at)
	f.err = err
	return f
}

// errNoTier says that the route does not use a tier.
var errNoTier = errors.New("the route does not use this tier")

// consultShared looks x up in the tier that the instances share, within b.
func (c *Cache) consultShared(ctx context.Context, x *request, b *budget, at moment) finding {
	object, err := c.fromShared(ctx, x, b)
	if err != nil {
		return finding{sighting: sighting{err: err}}
	}
	if c.Epochs != nil {
		// Each entry has just been decoded, and no other goroutine has it.
		for _, e := range object.Variants {
			e.Epoch = c.Epochs.CapToKnown(e.Epoch)
		}
	}
	return c.examine(x.res, x.key, &x.q, object, at)
}

func (c *Cache) fromShared(ctx context.Context, x *request, b *budget) (*store.Object, error) {
	bounded, cancel, err := b.bound(ctx, c.SharedBudget)
	if err != nil {
		return nil, err
	}
	defer cancel()
	ev := observe.FromContext(ctx)
	step := ev.Step(observe.StepRedis, "GET")
	object, err := c.Shared.Get(bounded, x.key, &x.q)
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

// budget is the time that one request may lose to the shared tier, however many calls it makes. The
// zero value has not begun to run.
type budget struct{ until time.Time }

// bound returns ctx bounded by the rest of b. A budget that has not begun starts with most. If
// nothing is left, bound returns store.ErrBudget, and the request goes on without the tier.
func (b *budget) bound(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc, error) {
	now := time.Now() // the time that passes for the client, not the clock of responses
	if b.until.IsZero() {
		b.until = now.Add(most)
	}
	if !now.Before(b.until) {
		return nil, nil, store.ErrBudget
	}
	ctx, cancel := context.WithDeadlineCause(ctx, b.until, store.ErrBudget)
	return ctx, cancel, nil
}

// end uses up b.
func (b *budget) end() { b.until = time.Now() }

// settleLookups carries out the effects of p's lookups. Memory counts them. A response from the
// shared tier is taken into memory. If the rules have changed a response's lifetime, the changed
// response replaces the stored one.
func (c *Cache) settleLookups(ctx context.Context, x *request, p *Plan) {
	switch m := &p.memory; {
	case m.err == nil:
		c.Store.CountHit(x.key)
		c.renew(ctx, x, m)
	case errors.Is(m.err, store.ErrMiss):
		c.Store.CountMiss(x.key)
	case m.err != errNoTier: // a failing store counts as an empty one: the origin has the response
		c.Log.Warn("looking a response up failed; asking the origin", "error", m.err)
	}
	c.promote(ctx, x, &p.shared)
}

// renew replaces the stored response in memory by the same response with the lifetime that the
// route's rules give it now.
func (c *Cache) renew(ctx context.Context, x *request, f *sighting) {
	if f.ruled == f.stored || f.ruled == nil {
		return
	}
	jitter := c.Random()
	c.replace(ctx, c.place(x), f.stored, func(e *store.Entry) *store.Entry {
		if e == f.stored {
			return f.ruled
		}
		if changed := x.res.Rejudged(e, jitter); changed != nil {
			return changed
		}
		return e
	})
}

// promote takes a response of the shared tier into memory, with the rest of its lifetime.
func (c *Cache) promote(ctx context.Context, x *request, f *sighting) {
	if f.ruled == nil {
		return
	}
	// Seq orders the responses that this instance has stored. The entry has just been decoded, and
	// no other goroutine has it.
	f.ruled.Seq = c.serial.Add(1)
	if f.entry != nil {
		f.entry.Seq = f.ruled.Seq
	}
	if !x.res.Tiers.Memory {
		return
	}
	if err := c.Store.Put(ctx, x.key, f.ruled, x.res.MaxVariants); err != nil {
		c.Log.Debug("a shared response was not taken into memory", "route", x.res.Rules.Route, "error", err)
	}
	c.revisions.bump(x.key.Hash)
}
