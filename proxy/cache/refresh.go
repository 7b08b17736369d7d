package cache

import (
	"context"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// refresh brings e up to date in the background, once for all that ask, and not while the origin is held down.
func (c *Cache) refresh(x *exchange, e *store.Entry, d cachepolicy.Decision) {
	if c.setbacks.of(x.key.Hash, c.Now()) != nil {
		return
	}
	k := c.flightKey(x, e)
	f, lead, err := c.flights.Join(k, 0)
	if err != nil {
		return
	}
	if !lead {
		f.Leave()
		return
	}
	if c.overtaken(x, e) {
		f.End(flight.Done, nil)
		return
	}
	j := x.job(f, k, e, d)
	j.ev.RefreshFor(x.ev)
	j.ev.Background, j.ev.Cache = true, observe.CacheRefreshed
	if x.refreshing = c.background(func(ctx context.Context) { c.fill(ctx, j) }); !x.refreshing {
		f.End(flight.Retry, errClosed)
	}
}

// overtaken reports whether a refresh that ended since x looked has put something fresh in the place of e.
func (c *Cache) overtaken(x *exchange, e *store.Entry) bool {
	object, err := c.Store.Try(x.ctx, x.key)
	if err != nil {
		return false
	}
	i := cachepolicy.Select(&x.q, object.Variants)
	return i >= 0 && object.Variants[i].Seq != e.Seq && c.decide(x, object.Variants[i]).Action == cachepolicy.Serve
}
