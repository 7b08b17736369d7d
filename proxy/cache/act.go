package cache

import (
	"context"
	"encoding/binary"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/store"
)

// Reply describes the response to deliver and the reason for it. Exactly one of Entry, landing,
// response and failure is set.
type Reply struct {
	Entry    *store.Entry
	landing  *landing         // a running fill, whose body the client reads while it grows
	response *http.Response   // for this client alone
	failure  *deliver.Failure // an error response of the gateway itself
	// source reads the body of landing. The leader's source is opened before the first byte
	// arrives, so that no byte is dropped before the leader reads.
	source   *deliver.Source
	leads    bool        // true if this request's own call produced landing
	personal http.Header // of a 304 that confirmed Entry: the fields for this client alone
	// substituted is true if response is a custom error page. The client's conditions have not been
	// evaluated for it.
	substituted bool
	call        *call  // the call that a fill made for this reply; nil: no call, or the client made its own
	tier        string // the tier of Entry, if it is not the first tier of the lookup
	decision    cachepolicy.Decision
	outcome     cachepolicy.CacheStatus
}

type fillFlight = flight.Flight[flightKey, *landing]

// drop releases a reply that no client takes.
func (r *Reply) drop() {
	deliver.Discard(r.response)
	if r.source != nil {
		r.source.Close()
	}
}

// do returns the reply to x: from the store, from a fill that x leads or follows, or from the
// origin for this client alone.
func (c *Cache) do(x *exchange) *Reply {
	for {
		c.plan(&x.plan, &x.request, &x.budget, c.moment(x))
		if reply := c.act(x); reply != nil {
			return reply
		}
	}
}

// act carries out the plan of x. It returns nil if x followed a flight whose result x may not use.
// The caller then makes a new plan.
func (c *Cache) act(x *exchange) *Reply {
	p := &x.plan
	c.record(x)
	switch p.step {
	case stepPass:
		return c.pass(x)
	case stepQueued:
		return p.queued
	case stepServe:
		return c.serve(x)
	case stepRefuse:
		return refusal(p.outcome)
	case stepBackOff:
		c.refresh(x)
		x.refreshing = false // so that Cache-Status tells the client about the failure
		x.ev.Action = p.stale.Action.String()
		return x.hit(p.entry, p.stale)
	case stepHead:
		return c.head(x)
	}
	return c.join(x)
}

// record notes the result of the plan's lookup in the Event and in the tiers.
func (c *Cache) record(x *exchange) {
	p := &x.plan
	if p.keyed && x.ev.KeyHash == "" {
		x.ev.KeyHash, x.ev.Key = keyText(x.key), binary.BigEndian.Uint64(x.key.Hash[:8])
	}
	if p.looked {
		x.ev.Action = p.decision.Action.String()
		c.tiers.SettleLookups(x.ctx, x.query(), &p.memory, &p.shared)
	}
}

// serve answers x with the stored response. It starts a refresh if the decision calls for one.
func (c *Cache) serve(x *exchange) *Reply {
	p := &x.plan
	p.entry.Pick(c.Now())
	c.used(x.key)
	if p.decision.Action == cachepolicy.ServeAndRefresh {
		c.refresh(x)
	}
	return x.hit(p.entry, p.decision)
}

// used reports a hit to Used. It reports one in UsedSample hits, chosen at random, and does nothing
// if Used is nil.
func (c *Cache) used(k cachepolicy.Key) {
	if c.Used != nil && c.Random()*float64(c.UsedSample) < 1 {
		c.Used(k, c.UsedSample)
	}
}

func (x *exchange) hit(e *store.Entry, d cachepolicy.Decision) *Reply {
	x.reply = Reply{Entry: e, decision: d, outcome: hitOutcome(d)}
	return &x.reply
}

// refusal returns the 504 for an only-if-cached request if no usable response is stored (RFC 9111
// §5.2.1.7).
func refusal(out cachepolicy.CacheStatus) *Reply {
	return &Reply{
		failure: &deliver.Failure{Status: http.StatusGatewayTimeout, Detail: "nothing usable is stored and the request allows nothing else"},
		outcome: out,
	}
}

// gone returns the reply to a client that has left.
func gone(ctx context.Context) *Reply { return &Reply{failure: deliver.ClientGone(ctx)} }

// deliver writes reply to w.
func (c *Cache) deliver(w http.ResponseWriter, x *exchange, reply *Reply) {
	x.note(reply)
	x.delivery = deliver.Delivery{
		Server: &c.server,
		Client: deliver.Client{Ctx: x.ctx, Request: x.r, View: &x.q, Writer: w, Event: x.ev, Body: x.body, Codings: x.res.Codings(), Tags: x.res.Tags.Field()},
		Provenance: deliver.Provenance{
			Decision: reply.decision, Status: reply.outcome, Personal: reply.personal, Unconditional: reply.call != nil || reply.substituted, Own: reply.leads,
		},
	}
	d := &x.delivery
	switch {
	case reply.failure != nil:
		d.Fail(reply.failure)
	case reply.Entry != nil:
		as := c.represent(x, reply.Entry)
		if as.From == nil {
			x.remember(reply)
		}
		d.Entry(reply.Entry, &as)
	case reply.landing != nil:
		d.Stream(&reply.landing.Stream, reply.source)
	case reply.response != nil:
		d.Relay(reply.response)
	}
}
