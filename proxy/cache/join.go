package cache

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/store"
)

// flightKey says which requests may share one call to the origin.
type flightKey struct {
	object [16]byte
	// vary tells variants apart, once it is known which fields they vary on.
	vary cachepolicy.Vary
	// span is the Range field: who asks for other bytes gets another response.
	span string
	// private keeps requests with credentials from waiting for a response that is probably not for them, and the others from waiting for theirs.
	private bool
	// epoch is when the object was last invalidated: a request that comes after must not be answered from a call made before.
	epoch uint64
	// serial is set for a flight that nobody else is to join.
	serial uint64
}

func (c *Cache) flightKey(x *exchange, e *store.Entry) flightKey {
	known := x.vary
	if e != nil {
		known = e.Vary
	}
	return flightKey{
		object: x.key.Hash, vary: x.variant(known), span: strings.Join(x.r.Header["Range"], ","),
		private: len(x.r.Header["Authorization"]) > 0, epoch: c.doomed.of(x.key.Hash),
	}
}

// variant is known with the values that x has.
func (x *exchange) variant(known cachepolicy.Vary) cachepolicy.Vary {
	if known == "" {
		return ""
	}
	var names []string
	for name := range known.Names() {
		names = append(names, name)
	}
	v, _ := x.res.Rules.MakeVary(&x.q, http.Header{"Vary": {strings.Join(names, ",")}})
	return v
}

// join leads or follows the flight that fetches what x asks for.
func (c *Cache) join(x *exchange, e *store.Entry, d cachepolicy.Decision, alone bool) (reply *Reply, again bool) {
	k := c.flightKey(x, e)
	if alone || !x.res.Coalesce.Enabled || c.unshareable.has(k) || d.Reason == cachepolicy.ReasonRequestNoStore {
		return c.lead(x, e, d, c.solo(k), k), false
	}
	f, lead, err := c.flights.Join(k, x.res.Coalesce.MaxWaiters)
	switch {
	case errors.Is(err, flight.ErrCrowded):
		return c.crowded(x), false
	case lead:
		return c.lead(x, e, d, f, k), false
	default:
		return c.follow(x, e, d, f, k)
	}
}

// solo starts a flight of its own for what k names.
func (c *Cache) solo(k flightKey) *fillFlight {
	k.serial = c.serial.Add(1)
	f, _, _ := c.flights.Join(k, 1) // a new serial always leads
	return f
}

// lead has f's fill done in the background and waits for what it lands, or for the client to leave: the fill goes on without it.
func (c *Cache) lead(x *exchange, e *store.Entry, d cachepolicy.Decision, f *fillFlight, k flightKey) *Reply {
	// Between this request's lookup and its joining, another flight may have ended: request B misses, A's flight stores and ends,
	// B joins and leads. Without a second look B would ask the origin for what has just been stored.
	if e2, d2 := c.consider(x); e2 != e && (d2.Action == cachepolicy.Serve || d2.Action == cachepolicy.ServeAndRefresh) {
		f.Announce(&landing{entry: e2, decision: d2, outcome: cachepolicy.Outcome{Hit: true, TTL: d2.TTL, HasTTL: true}}, 0)
		f.End(flight.Shared, nil)
		return c.hit(e2, d2)
	}
	j := x.job(f, k, e, d)
	j.landed = make(chan *Reply)
	j.interim = make(chan interim)
	if !c.background(func(ctx context.Context) { c.fill(ctx, j) }) {
		f.End(flight.Retry, errClosed)
		return &Reply{failure: &failure{status: http.StatusServiceUnavailable, detail: errClosed.Error()}}
	}
	for {
		select {
		case reply := <-j.landed:
			return reply
		case i := <-j.interim:
			if x.interim != nil {
				x.interim(i.status, i.header)
			}
		case <-x.ctx.Done():
			return gone(x.ctx)
		}
	}
}

// follow waits for f's head and takes what it announces, if it may.
func (c *Cache) follow(x *exchange, e *store.Entry, d cachepolicy.Decision, f *fillFlight, k flightKey) (reply *Reply, again bool) {
	ctx, cancel := context.WithTimeout(x.ctx, x.res.Coalesce.Wait)
	l, outcome, err := f.Head(ctx)
	cancel()
	if outcome == flight.Shared && err == nil {
		if l.meta().Vary.Matches(&x.q) {
			return c.collapse(x, f, l), false
		}
		// The response is for another variant. Now that its Vary is known, those who want the same variant find each other.
		f.Leave()
		x.vary, x.varyMiss = l.meta().Vary, true
		return c.rejoin(x, e, d, k)
	}
	f.Leave()
	switch {
	case x.ctx.Err() != nil:
		return gone(x.ctx), false
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil, outcome == flight.Solo:
		return c.lead(x, e, d, c.solo(k), k), false
	case outcome == flight.Failed:
		return &Reply{failure: failureOf(err), outcome: cachepolicy.Outcome{Forward: c.forwardOf(x, d), Collapsed: true}}, false
	default:
		return nil, true
	}
}

// rejoin joins the flight of x's own variant, unless that is the one it comes from.
func (c *Cache) rejoin(x *exchange, e *store.Entry, d cachepolicy.Decision, from flightKey) (*Reply, bool) {
	k := c.flightKey(x, e)
	return c.join(x, e, d, k == from)
}

// collapse answers x from another request's fill.
func (c *Cache) collapse(x *exchange, f *fillFlight, l *landing) *Reply {
	outcome := l.outcome
	outcome.Collapsed = true
	x.ev.Collapsed = true
	if l.entry != nil {
		f.Leave()
		return &Reply{Entry: l.entry, decision: l.decision, outcome: outcome}
	}
	return &Reply{landing: l, flight: f, outcome: outcome}
}

// crowded answers a request that would be one too many to wait.
func (c *Cache) crowded(*exchange) *Reply {
	return &Reply{failure: &failure{
		status: http.StatusServiceUnavailable, proxyError: "connection_limit_reached", retryAfter: 1,
		detail: "too many requests wait for this resource",
	}}
}
