package cache

import (
	"context"
	"encoding/binary"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/store"
)

// do returns the reply to x: from the store, from a fill that x leads or follows, or from the
// origin for this client alone.
func (c *Cache) do(x *request) *fill.Reply {
	for {
		c.plan(&x.plan, &x.located, &x.budget, c.moment(x))
		if reply := c.act(x); reply != nil {
			return reply
		}
	}
}

// act carries out the plan of x. It returns nil if x followed a flight whose result x may not use.
// The caller then makes a new plan.
func (c *Cache) act(x *request) *fill.Reply {
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
func (c *Cache) record(x *request) {
	p := &x.plan
	if p.keyed && x.ev.KeyHash == "" {
		x.ev.KeyHash, x.ev.Key = keyText(x.Key), binary.BigEndian.Uint64(x.Key.Hash[:8])
	}
	if p.looked {
		x.ev.Action = p.decision.Action.String()
		c.tiers.SettleLookups(x.Ctx, x.Query(), &p.memory, &p.shared)
	}
}

// serve answers x with the stored response. It starts a refresh if the decision calls for one.
func (c *Cache) serve(x *request) *fill.Reply {
	p := &x.plan
	p.entry.Pick(c.Now())
	c.used(x.Key)
	if p.decision.Action == cachepolicy.ServeAndRefresh {
		c.refresh(x)
	}
	return x.hit(p.entry, p.decision)
}

// used reports a hit to Used. It reports one in UsedSample hits, chosen at random, and does nothing
// if Used is nil.
func (c *Cache) used(k cachepolicy.Key) {
	if c.reportUse != nil && c.random()*float64(c.usedSample) < 1 {
		c.reportUse(k, c.usedSample)
	}
}

func (x *request) hit(e *store.Entry, d cachepolicy.Decision) *fill.Reply {
	x.reply = fill.Reply{Entry: e, Decision: d, Status: hitOutcome(d)}
	return &x.reply
}

// refusal returns the 504 for an only-if-cached request if no usable response is stored (RFC 9111
// §5.2.1.7).
func refusal(out cachepolicy.CacheStatus) *fill.Reply {
	return &fill.Reply{
		Failure: &deliver.Failure{Status: http.StatusGatewayTimeout, Detail: "nothing usable is stored and the request allows nothing else"},
		Status:  out,
	}
}

// deliver writes reply to w.
func (c *Cache) deliver(w http.ResponseWriter, x *request, reply *fill.Reply) {
	x.note(reply)
	x.delivery = deliver.Delivery{
		Server: &c.server,
		Client: deliver.Client{Ctx: x.Ctx, Request: x.HTTP, View: &x.View, Writer: w, Event: x.ev, Body: x.body, Codings: x.res.Codings(), Tags: x.res.Tags.Field()},
		Provenance: deliver.Provenance{
			Decision: reply.Decision, Status: reply.Status, Personal: reply.Personal, Unconditional: reply.Call != nil || reply.Substituted, Own: reply.Leads,
		},
	}
	d := &x.delivery
	switch {
	case reply.Failure != nil:
		d.Fail(reply.Failure)
	case reply.Entry != nil:
		as := c.represent(x, reply.Entry)
		if as.From == nil {
			x.remember(reply)
		}
		d.Entry(reply.Entry, &as)
	case reply.Inflight != nil:
		d.Stream(&reply.Inflight.Stream, reply.Source)
	case reply.Response != nil:
		d.Relay(reply.Response)
	}
}

// gone returns the reply to a client that has left.
func gone(ctx context.Context) *fill.Reply { return &fill.Reply{Failure: deliver.ClientGone(ctx)} }
