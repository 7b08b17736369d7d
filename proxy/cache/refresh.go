package cache

import (
	"context"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/observe"
)

// refresh revalidates the stored response in the background, once for all clients that ask. It does
// nothing if the origin has just failed. For a HEAD it sends a GET, because the other clients wait
// for the whole response.
func (c *Cache) refresh(x *request) {
	if c.fills.Failures.BacksOff(x.Key.Hash, c.Now()) {
		return
	}
	k := c.fills.FlightKey(&x.Request, x.plan.known())
	f, lead, err := c.fills.Flights.Join(k, 0)
	if err != nil {
		return
	}
	if !lead {
		f.Leave()
		return
	}
	if c.refreshedMeanwhile(x) {
		f.End(flight.Done, nil)
		return
	}
	j := x.job(f, k)
	if x.View.Method == http.MethodHead {
		get, r := x.Request, *x.HTTP
		r.Method, get.View.Method, get.HTTP = http.MethodGet, http.MethodGet, &r
		j.Request, j.Event.Method = &get, http.MethodGet
	}
	j.Event.RefreshFor(x.ev)
	j.Event.Background, j.Event.Cache = true, observe.CacheRefreshed
	if x.refreshing = c.tasks.Go(func(ctx context.Context) { c.fills.Fill(ctx, j) }); !x.refreshing {
		f.End(flight.Retry, fill.ErrClosed)
	}
}

// refreshedMeanwhile reports whether another refresh has ended since x's lookup and replaced the
// response that x found by a fresh one.
func (c *Cache) refreshedMeanwhile(x *request) bool {
	if c.tiers.Revisions.Of(x.Key.Hash) == x.plan.revision {
		return false
	}
	now := c.tiers.ConsultMemory(x.Ctx, x.Query(), c.moment(x))
	return now.Entry != nil && now.Entry.Seq != x.plan.entry.Seq && now.Decision.Action == cachepolicy.Serve
}

// job returns the fill that x has planned, for flight f. It is called while x's client is still
// there.
func (x *request) job(f *fill.Flight, k fill.FlightKey) *fill.Job {
	p := &x.plan
	ev := x.fillEvent()
	ev.FillFor(x.ev)
	return fill.NewJob(&x.Request, fill.Basis{Variation: p.Variation, Alone: p.alone, Stored: p.entry, Decision: p.decision, Budget: x.budget}, f, k, ev)
}

// fillEvent returns the Event of a fill for x.
func (x *request) fillEvent() *observe.Event {
	return &observe.Event{
		Route: x.res.Rules.Route, Method: x.HTTP.Method, Scheme: x.ev.Scheme, Host: x.ev.Host, Path: x.ev.Path, ClientIP: x.ev.ClientIP,
		Captured: x.ev.Captured, Action: x.ev.Action, KeyHash: x.ev.KeyHash, Cache: observe.CacheMiss, PeerTrusted: x.ev.PeerTrusted, Credential: x.ev.Credential,
	}
}
