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
	j := x.job(f, k, e, d)
	j.ev.RefreshFor(x.ev)
	j.ev.Background, j.ev.Cache = true, observe.CacheRefreshed
	if x.refreshing = c.background(func(ctx context.Context) { c.fill(ctx, j) }); !x.refreshing {
		f.End(flight.Retry, errClosed)
	}
}
