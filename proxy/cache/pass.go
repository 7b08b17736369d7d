package cache

import (
	"context"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/upstream"
)

// pass forwards x for its client alone, and obeys what its answer makes stale.
func (c *Cache) pass(x *exchange, out cachepolicy.Outcome) *Reply {
	header := x.r.Header.Clone()
	x.acceptEncoding(header)
	return c.forward(x, header, nil, out)
}

// upgrade is the protocol that x asks to change to, where its route allows that; "": none.
func (x *exchange) upgrade() string {
	if x.ev.Upgrade == "" || x.ev.Upgrade != x.res.Upgrade {
		return ""
	}
	return x.ev.Upgrade
}

// passUpgrade forwards x with its wish for another protocol.
func (c *Cache) passUpgrade(x *exchange, protocol string) *Reply {
	header := x.r.Header.Clone()
	upstream.AskUpgrade(header, protocol)
	return c.forward(x, header, nil, cachepolicy.Outcome{Forward: cachepolicy.ForwardBypass, Reason: cachepolicy.ReasonUpgrade})
}

// head forwards a HEAD that the store can't answer; its answer brings the stored GET response up to date or does away with it
// (RFC 9111 §4.3.5).
func (c *Cache) head(x *exchange, e *store.Entry, d cachepolicy.Decision) *Reply {
	header := x.r.Header.Clone()
	x.acceptEncoding(header)
	return c.forward(x, header, e, cachepolicy.Outcome{Forward: c.forwardOf(x, d), Reason: d.Reason})
}

// forward makes x's own call to the origin. stored is the response that the answer may freshen; nil: none.
func (c *Cache) forward(x *exchange, header http.Header, stored *store.Entry, out cachepolicy.Outcome) *Reply {
	ctx := x.ctx
	if x.interim != nil {
		ctx = upstream.WithInterim(ctx, x.interim)
	}
	begun, sent := c.doomed.now(), c.now()
	resp, err := x.res.Origin.RoundTrip(x.outgoingBody(ctx, header))
	a := x.res.answer(&x.q, resp, err, sent, c.now())
	a.Stored = headerOf(stored)
	out.ForwardStatus = a.Status
	v := cachepolicy.Verdict{}
	if x.res.Rules.Enabled {
		v = x.res.Rules.Settle(&x.q, metaOf(stored), &a, c.now(), c.random())
		v.Meta.FillTime = a.Received.Sub(a.Sent)
		c.invalidate(x, &v)
	}
	if v.Effect == cachepolicy.KeepStale {
		discard(resp)
		return c.keptStale(stored, out)
	}
	if page := x.res.page(&a, v.Effect); page != nil {
		_, resp, err = c.substitute(x.ctx, &job{x: x, header: x.fillHeader()}, page, &a, resp, err)
	}
	if err != nil {
		if x.ctx.Err() != nil {
			return gone(x.ctx)
		}
		return &Reply{failure: failureOf(err), outcome: out}
	}
	c.obey(x, stored, resp, &v, begun)
	return &Reply{response: resp, outcome: out}
}

// outgoingBody is the client's request with its body, for the origin.
func (x *exchange) outgoingBody(ctx context.Context, header http.Header) *http.Request {
	out := x.outgoing(ctx, header)
	if x.r.ContentLength != 0 {
		out.Body, out.ContentLength = x.r.Body, x.r.ContentLength
		out.TransferEncoding = x.r.TransferEncoding
		out.Trailer = x.r.Trailer
	}
	return out
}

// keptStale serves what is stored because the origin failed.
func (c *Cache) keptStale(e *store.Entry, out cachepolicy.Outcome) *Reply {
	d := cachepolicy.Decision{Action: cachepolicy.ServeStale, Age: e.Age(c.now()), TTL: e.Lifetime - e.Age(c.now())}
	out.TTL, out.HasTTL = d.TTL, true
	return &Reply{Entry: e, decision: d, outcome: out}
}

// obey does to the store what the answer to a forwarded request says of it.
func (c *Cache) obey(x *exchange, stored *store.Entry, resp *http.Response, v *cachepolicy.Verdict, begun uint64) {
	switch v.Effect {
	case cachepolicy.Freshen:
		if stored == nil {
			return
		}
		e := freshened(stored, resp.Header, v, x.res)
		if _, err := c.store.Replace(x.ctx, x.key, stored, e); err != nil {
			c.log.Warn("storing a response that a HEAD brought up to date failed", "err", err)
		}
	case cachepolicy.Drop:
		c.drop(x.ctx, x.key)
	case cachepolicy.Store:
		c.storePosted(x, resp, v, begun)
	}
}

// drop removes all that is stored under k, and what fills under way would store there.
func (c *Cache) drop(ctx context.Context, k cachepolicy.Key) {
	c.doomed.add(k.Hash)
	if err := c.store.Delete(ctx, k); err != nil {
		c.log.Warn("removing a stored response failed", "err", err)
	}
}

// Drop makes what is stored under k go away, and what fills under way would store there (RFC 9111 §4.4).
func (c *Cache) Drop(ctx context.Context, k cachepolicy.Key) { c.drop(ctx, k) }

// invalidate makes stale what an unsafe request has changed: its own URL and those that its answer names (RFC 9111 §4.4).
func (c *Cache) invalidate(x *exchange, v *cachepolicy.Verdict) {
	if x.res.Invalidate == nil {
		return
	}
	if v.InvalidateSelf {
		x.res.Invalidate(x.ctx, selfURL(&x.q), &x.q)
	}
	for _, url := range v.Invalidate {
		x.res.Invalidate(x.ctx, url, &x.q)
	}
}

func selfURL(q *cachepolicy.Request) string {
	u := q.Scheme + "://" + q.Host + q.Path
	if q.RawQuery != "" {
		u += "?" + q.RawQuery
	}
	return u
}
