package cache

import (
	"context"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/observe"
)

// refresh revalidates the stored response in the background, once for all clients that ask. It does
// nothing if the origin has just failed. For a HEAD it sends a GET, because the other clients wait
// for the whole response.
func (c *Cache) refresh(x *exchange) {
	if c.setbacks.rests(x.key.Hash, c.Now()) {
		return
	}
	k := c.flightKey(&x.request, x.plan.known())
	f, lead, err := c.flights.Join(k, 0)
	if err != nil {
		return
	}
	if !lead {
		f.Leave()
		return
	}
	if c.overtaken(x) {
		f.End(flight.Done, nil)
		return
	}
	j := x.job(f, k)
	if x.q.Method == http.MethodHead {
		get, r := x.request, *x.r
		r.Method, get.q.Method, get.r = http.MethodGet, http.MethodGet, &r
		j.x, j.ev.Method = &get, http.MethodGet
	}
	j.ev.RefreshFor(x.ev)
	j.ev.Background, j.ev.Cache = true, observe.CacheRefreshed
	if x.refreshing = c.background(func(ctx context.Context) { c.fill(ctx, j) }); !x.refreshing {
		f.End(flight.Retry, errClosed)
	}
}

// overtaken reports whether another refresh has ended since x's lookup and replaced the response
// that x found by a fresh one.
func (c *Cache) overtaken(x *exchange) bool {
	if c.tiers.Revisions.Of(x.key.Hash) == x.plan.revision {
		return false
	}
	now := c.tiers.ConsultMemory(x.ctx, x.query(), c.moment(x))
	return now.Entry != nil && now.Entry.Seq != x.plan.entry.Seq && now.Decision.Action == cachepolicy.Serve
}
