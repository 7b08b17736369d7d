package cache

import (
	"context"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

// pass forwards x for its client alone, and obeys what its answer makes stale.
func (c *Cache) pass(x *exchange, out cachepolicy.Outcome) *Reply {
	header := x.r.Header.Clone()
	x.res.acceptEncoding(header)
	return c.forward(x, header, nil, out)
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
	header := x.r.Header.Clone()
	header["Connection"], header["Upgrade"] = []string{"Upgrade"}, []string{protocol}
	return c.forward(x, header, nil, cachepolicy.Outcome{Forward: cachepolicy.ForwardBypass, Reason: cachepolicy.ReasonUpgrade})
}

// head forwards a HEAD that the store can't answer; its answer brings the stored GET response up to date or does away with it
// (RFC 9111 §4.3.5).
func (c *Cache) head(x *exchange, e *store.Entry, d cachepolicy.Decision) *Reply {
	header := x.r.Header.Clone()
	x.res.acceptEncoding(header)
	return c.forward(x, header, e, cachepolicy.Outcome{Forward: c.forwardOf(x, d), Reason: d.Reason})
}

// forward makes x's own call to the origin. stored is the response that the answer may freshen; nil: none.
func (c *Cache) forward(x *exchange, header http.Header, stored *store.Entry, out cachepolicy.Outcome) *Reply {
	to := c.place(x)
	to.tags = x.res.Tags.of(x.r)
	a := c.call(c.WithInterim(x.ctx, x.interim), x, x.outgoingBody(header), stored)
	if a.err != nil && x.ctx.Err() != nil {
		return gone(x.ctx)
	}
	if stored != nil {
		c.setbacks.note(x.key.Hash, &a.facts)
	}
	v := x.res.Rules.Settle(&x.q, metaOf(stored), &a.facts, c.Now(), c.Random())
	v.Meta.Seq = c.serial.Add(1)
	out.ForwardStatus = a.facts.Status
	c.invalidate(x, &v)
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
		c.storePosted(x, a.resp, &v)
	}
	if page := x.res.page(a, v.Effect); page != nil {
		a = c.substitute(x.ctx, x, page, a)
	}
	if a.err != nil {
		return &Reply{failure: failureOf(a.err), outcome: out}
	}
	return &Reply{response: a.resp, outcome: out}
}

// invalidate makes stale what an unsafe request has changed: its own URL and those that its answer names (RFC 9111 §4.4). It does so on a
// route without a cache too, for what it changes may be stored by another.
func (c *Cache) invalidate(x *exchange, v *cachepolicy.Verdict) {
	if x.res.Invalidate == nil {
		return
	}
	ctx := context.WithoutCancel(x.ctx) // the change is made, whether its client waits for the answer or not
	if v.InvalidateSelf {
		x.res.Invalidate(ctx, selfURL(&x.q), &x.q)
		if x.res.Written != nil {
			x.res.Written(ctx, x.r, &x.q)
		}
	}
	for _, url := range v.Invalidate {
		x.res.Invalidate(ctx, url, &x.q)
	}
}

func selfURL(q *cachepolicy.Request) string {
	u := q.Scheme + "://" + q.Host + q.Path
	if q.RawQuery != "" {
		u += "?" + q.RawQuery
	}
	return u
}
