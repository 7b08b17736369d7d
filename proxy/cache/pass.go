package cache

import (
	"context"
	"maps"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

// pass forwards x for its client alone, and obeys what its answer makes stale.
func (c *Cache) pass(x *exchange, out cachepolicy.Outcome) *Reply {
	return c.forward(x, x.ownHeader(), nil, out)
}

// ownHeader is the client's header for the origin, to whose map may be written. The values are shared, and are replaced, never written to.
func (x *exchange) ownHeader() http.Header {
	header := maps.Clone(x.r.Header)
	x.res.acceptEncoding(header)
	return header
}

// upgrade is the protocol that x asks to change to, where its route allows that; "": none.
func (x *exchange) upgrade() string {
	if x.ev.Upgrade == "" || x.ev.Upgrade != x.res.Upgrade {
		return ""
	}
	return x.ev.Upgrade
}

// passUpgrade forwards x with its wish for another protocol, which ends at each hop and so is made anew (RFC 9110 §7.8).
func (c *Cache) passUpgrade(x *exchange, protocol string) *Reply {
	header := maps.Clone(x.r.Header)
	header["Connection"], header["Upgrade"] = []string{"Upgrade"}, []string{protocol}
	return c.forward(x, header, nil, cachepolicy.Outcome{Forward: cachepolicy.ForwardBypass, Reason: cachepolicy.ReasonUpgrade})
}

// head forwards a HEAD that the store can't answer; its answer brings the stored GET response up to date or does away with it
// (RFC 9111 §4.3.5).
func (c *Cache) head(x *exchange, e *store.Entry, d cachepolicy.Decision) *Reply {
	return c.forward(x, x.ownHeader(), e, cachepolicy.Outcome{Forward: c.forwardOf(x, d), Reason: d.Reason})
}

// forward makes x's own call to the origin. stored is the response that the answer may freshen; nil: none.
func (c *Cache) forward(x *exchange, header http.Header, stored *store.Entry, out cachepolicy.Outcome) *Reply {
	to := c.place(x)
	to.tags = x.res.Tags.of(x.r)
	a := &x.answer
	c.call(a, x, x.outgoingBody(c.WithInterim(x.ctx, x.interim), header), stored)
	if a.err != nil && x.tooLate() {
		return x.late(a.err)
	}
	if a.err != nil && x.ctx.Err() != nil {
		return gone(x.ctx)
	}
	if stored != nil {
		c.setbacks.note(x.key.Hash, &a.facts)
	}
	v := x.res.Rules.Settle(&x.q, metaOf(stored), &a.facts, c.Now(), c.Random())
	c.wonder(x, a)
	v.Meta.Seq = c.serial.Add(1)
	out.ForwardStatus = a.facts.Status
	out.Stored = c.written(x, to, a, &v)
	switch v.Effect {
	case cachepolicy.KeepStale:
		a.discard()
		d := staleDecision(stored, c.Now(), v.Reason)
		out.TTL, out.HasTTL, out.Reason = d.TTL, true, v.Reason
		return &Reply{Entry: stored, decision: d, outcome: out}
	case cachepolicy.Freshen:
		c.freshen(x.ctx, to, stored, &v)
	case cachepolicy.Drop:
		c.Drop(x.ctx, x.key)
	case cachepolicy.Store:
		if x.res.Through == nil && !x.transient { // else it is there already, or is about to change
			c.storePosted(x, a.resp, &v)
		}
	}
	if page := x.res.page(a, v.Effect); page != nil {
		a = c.substitute(x.ctx, x, page, a)
	}
	if a.err != nil {
		return &Reply{failure: failureOf(a.err), outcome: out}
	}
	x.reply = Reply{response: a.resp, outcome: out}
	return &x.reply
}

// wonderOne: one in so many responses of a route without a cache is looked at as if it had one.
const wonderOne = 4

// wonder notes what would keep the like of x from being answered from a cache that its route has not.
func (c *Cache) wonder(x *exchange, a *answer) {
	if !x.res.Rules.Enabled && x.q.Method == http.MethodGet && a.err == nil && c.Random()*wonderOne < 1 {
		x.ev.Obstacle = x.res.Rules.Obstacle(&x.q, &a.facts).String()
	}
}

// invalidate makes stale what an unsafe request has changed: its own URL and those that its answer names (RFC 9111 §4.4). It does so on a
// route without a cache too, for what it changes may be stored by another. It returns the moment at which it did.
func (c *Cache) invalidate(x *exchange, v *cachepolicy.Verdict) store.Epoch {
	urls := v.Invalidate
	if v.InvalidateSelf {
		urls = append([]string{selfURL(&x.q)}, urls...)
	}
	if x.res.Invalidate == nil || len(urls) == 0 {
		return store.Epoch{}
	}
	// The change is made, whether its client waits for the answer or not.
	return x.res.Invalidate(context.WithoutCancel(x.ctx), x.r, &x.q, urls, v.InvalidateSelf)
}

func selfURL(q *cachepolicy.Request) string {
	u := q.Scheme + "://" + q.Host + q.Path
	if q.RawQuery != "" {
		u += "?" + q.RawQuery
	}
	return u
}
