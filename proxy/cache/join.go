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
	// span is the Range field and its condition: who asks for other bytes gets another response.
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
		object: x.key.Hash, vary: x.variant(known), span: x.span(),
		private: len(x.r.Header["Authorization"]) > 0, epoch: c.doomed.of(x.key.Hash),
	}
}

// span is what x asks for of the representation, "" for all.
func (x *exchange) span() string {
	ranges := x.r.Header["Range"]
	if len(ranges) == 0 {
		return ""
	}
	return strings.Join(ranges, ",") + "\n" + strings.Join(x.r.Header["If-Range"], ",")
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

// join leads or follows the flight that fetches what x asks for. nil: look again.
func (c *Cache) join(x *exchange, e *store.Entry, d cachepolicy.Decision) *Reply {
	k := c.flightKey(x, e)
	if !x.res.Coalesce.Enabled || c.unshareable.has(k) {
		return c.lead(x, e, d, c.solo(k), k)
	}
	f, lead, err := c.flights.Join(k, x.res.Coalesce.MaxWaiters)
	switch {
	case errors.Is(err, flight.ErrCrowded):
		return c.crowded(x, e)
	case lead:
		return c.lead(x, e, d, f, k)
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
	if now, d2 := c.considerMemory(x, true); now != e && now != nil {
		if d2.Action == cachepolicy.Serve || d2.Action == cachepolicy.ServeAndRefresh {
			f.End(flight.Done, nil) // whoever has followed looks for itself: what suits this request may not suit that one
			return x.hit(now, d2)
		}
		if d2.Action == cachepolicy.Fetch || d2.Action == cachepolicy.Revalidate {
			e, d = now, d2
		}
	}
	j := x.job(f, k, e, d)
	j.leader = newHandover()
	if !c.background(func(ctx context.Context) { c.fill(ctx, j) }) {
		f.End(flight.Retry, errClosed)
		return &Reply{failure: &failure{status: http.StatusServiceUnavailable, detail: errClosed.Error()}}
	}
	if reply := j.leader.wait(x.ctx, x.interim); reply != nil {
		return reply
	}
	return gone(x.ctx)
}

// follow waits for f's head and takes what it announces, if it may.
func (c *Cache) follow(x *exchange, e *store.Entry, d cachepolicy.Decision, f *fillFlight, k flightKey) *Reply {
	ctx, cancel := context.WithTimeout(x.ctx, x.res.Coalesce.Wait)
	defer cancel()
	c.waiting.Add(1)
	l, outcome, err := f.Head(ctx)
	c.waiting.Add(-1)
	if outcome == flight.Shared && err == nil {
		if c.purged(x.key, l) {
			f.Leave() // it began before a purge that this request comes after
			return c.restart(x, e, d, k, flight.Done)
		}
		if c.outlived(x, l) {
			f.Close()
			f.Leave()
			return c.join(x, e, d) // a flight whose response comes after x, so that it is not too old for it
		}
		if l.meta().Vary.Matches(&x.q) {
			return c.collapse(x, f, l)
		}
		f.Leave()
		return c.regroup(x, e, d, k, l)
	}
	f.Leave()
	switch {
	case x.ctx.Err() != nil:
		return gone(x.ctx)
	case outcome == flight.Failed:
		return &Reply{failure: failureOf(err), outcome: cachepolicy.Outcome{Forward: c.forwardOf(x, d), Collapsed: true}}
	case outcome == flight.Solo, outcome == flight.Retry && errors.Is(err, context.DeadlineExceeded): // the wait's own end
		x.impatient = outcome == flight.Retry
		return c.lead(x, e, d, c.solo(k), k)
	}
	return c.restart(x, e, d, k, outcome)
}

// restart has x look again after a flight that came to nothing, once. If the next comes to nothing as well, x shares its fate: all who wait
// going on alone would be a herd on an origin that is in trouble already.
func (c *Cache) restart(x *exchange, e *store.Entry, d cachepolicy.Decision, k flightKey, outcome flight.Outcome) *Reply {
	if !x.restarted {
		x.restarted = true
		return nil
	}
	if outcome == flight.Done { // what was stored does not suit x
		return c.lead(x, e, d, c.solo(k), k)
	}
	return &Reply{
		failure: &failure{status: http.StatusBadGateway, proxyError: "proxy_internal_error", detail: "the call that this request waited for came to nothing"},
		outcome: cachepolicy.Outcome{Forward: c.forwardOf(x, d), Collapsed: true},
	}
}

// regroup joins the flight of x's own variant: now that the response's Vary is known, those who want the same variant find each other.
// An origin that varies on other fields with each response makes x go on alone.
func (c *Cache) regroup(x *exchange, e *store.Entry, d cachepolicy.Decision, from flightKey, l *landing) *Reply {
	x.vary, x.varyMiss = l.meta().Vary, true
	if k := c.flightKey(x, e); x.regrouped || k == from {
		return c.lead(x, e, d, c.solo(k), k)
	}
	x.regrouped = true
	return c.join(x, e, d)
}

// collapse answers x from another request's fill.
func (c *Cache) collapse(x *exchange, f *fillFlight, l *landing) *Reply {
	outcome := l.outcome
	outcome.Collapsed = true
	x.ev.Follows(l.fill)
	if l.entry == nil {
		return &Reply{landing: l, flight: f, outcome: outcome}
	}
	f.Leave()
	if l.instead != nil && x.res.Rules.Settle(&x.q, &l.entry.Meta, &l.instead.facts, c.Now(), 0).Effect != cachepolicy.KeepStale {
		outcome.HasTTL, outcome.Reason = false, cachepolicy.ReasonNone
		return &Reply{failure: l.instead.failure(), outcome: outcome}
	}
	return &Reply{Entry: l.entry, decision: l.decision, outcome: outcome}
}

// crowded answers a request that would be one too many to wait: with what is stale where that is allowed.
func (c *Cache) crowded(x *exchange, e *store.Entry) *Reply {
	if e != nil {
		now := c.Now()
		a := cachepolicy.Answer{Failure: cachepolicy.FailureOverload, Sent: now, Received: now, Stored: headerOf(e)}
		if v := x.res.Rules.Settle(&x.q, &e.Meta, &a, now, 0); v.Effect == cachepolicy.KeepStale {
			return x.hit(e, staleDecision(e, now, v.Reason))
		}
	}
	return &Reply{
		failure: &failure{
			status: http.StatusServiceUnavailable, proxyError: "connection_limit_reached", retryAfter: 1,
			detail: "too many requests wait for this resource",
		},
		outcome: cachepolicy.Outcome{Reason: cachepolicy.ReasonOverload},
	}
}

// outlived reports whether the response that is being read along has grown stale before x came. One that is stale from the beginning may still answer
// those who have waited for it (RFC 9111 §4).
func (c *Cache) outlived(x *exchange, l *landing) bool {
	return l.entry == nil && x.ev.Start.After(l.facts.Received) && !l.facts.Fresh(c.Now())
}

// purged reports whether a landing is older than a purge that hits it.
func (c *Cache) purged(key cachepolicy.Key, l *landing) bool {
	if c.Epochs == nil || l.entry != nil {
		return false // what is stored was judged when it was looked up
	}
	fate, _ := c.Epochs.Judge(l.epoch, store.SubjectOf(key, l.tags))
	return fate != store.Alive
}
