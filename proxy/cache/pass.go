package cache

import (
	"context"
	"maps"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/store"
)

// pass forwards x for its client alone, and carries out the invalidations that the response calls
// for.
func (c *Cache) pass(x *exchange) *Reply {
	header := x.passHeader()
	if protocol := x.plan.protocol; protocol != "" {
		header = x.upgradeHeader(protocol)
	}
	return c.forward(x, header, nil, x.plan.outcome)
}

// upgradeHeader returns the header of a request that asks for another protocol. Upgrade ends at
// each hop, and so is written anew (RFC 9110 §7.8).
func (x *request) upgradeHeader(protocol string) http.Header {
	header := maps.Clone(x.r.Header)
	originConditions(header, x.q.Method)
	header["Connection"], header["Upgrade"] = []string{"Upgrade"}, []string{protocol}
	return header
}

// forward makes x's own call to the origin. stored is the response that the answer may freshen. It
// may be nil.
func (c *Cache) forward(x *exchange, header http.Header, stored *store.Entry, out cachepolicy.CacheStatus) *Reply {
	to := c.tiers.Destination(&x.res.Policy, x.key)
	to.RequestTags = x.res.Tags.OfRequest(x.r)
	a := &x.answer
	c.call(a, &x.request, x.outgoingBody(c.WithInterim(x.ctx, x.interim), header), stored)
	to.NamedTags = a.tags
	if a.err != nil && x.body.TooLate(x.ctx) {
		return late(a.err)
	}
	if a.err != nil && x.ctx.Err() != nil {
		return gone(x.ctx)
	}
	if stored != nil {
		c.setbacks.note(x.key.Hash, &a.facts)
	}
	v := x.res.Rules.Settle(&x.q, entry.MetaOf(stored), &a.facts, c.Now(), c.Random())
	c.wonder(x, a)
	v.Meta.Seq = c.tiers.NextSeq()
	out.ForwardStatus = a.facts.Status
	out.Stored = c.written(x, to, a, &v)
	switch v.Effect {
	case cachepolicy.KeepStale:
		a.discard()
		d := x.res.StaleDecision(stored, c.Now(), v.Reason)
		out.TTL, out.HasTTL, out.Reason = d.TTL, true, v.Reason
		return &Reply{Entry: stored, decision: d, outcome: out}
	case cachepolicy.Freshen:
		c.tiers.Freshen(x.ctx, to, stored, &v)
	case cachepolicy.Drop:
		c.tiers.Drop(x.ctx, x.key)
	case cachepolicy.Store:
		// With Through the response is already stored. A transient one is about to change.
		if x.res.Through == nil && !x.plan.transient {
			c.storePosted(x, a, &v)
		}
	}
	substituted := false
	if page := x.res.page(a, v.Effect); page != nil {
		if instead := c.substitute(x.ctx, &x.request, page, a); instead != nil {
			a, substituted = instead, true
		}
	}
	if a.err != nil {
		return &Reply{failure: deliver.FailureOf(a.err), outcome: out}
	}
	x.reply = Reply{response: a.resp, substituted: substituted, outcome: out}
	return &x.reply
}

// wonderOne is the sampling rate of wonder: one in so many responses of a route without a cache is
// examined as if the route had a cache.
const wonderOne = 4

// wonder notes the obstacle that would keep requests like x from being answered from a cache, if
// their route had one.
func (c *Cache) wonder(x *exchange, a *answer) {
	if !x.res.Rules.Enabled && x.q.Method == http.MethodGet && a.err == nil && c.Random()*wonderOne < 1 {
		x.ev.Obstacle = x.res.Rules.Obstacle(&x.q, &a.facts).String()
	}
}

// invalidate makes the responses stale that an unsafe request has changed: its own URL and the URLs
// that the response names (RFC 9111 §4.4). It does so on a route without a cache too, because
// another route may have stored these responses. It returns the moment of the invalidation.
func (c *Cache) invalidate(x *exchange, v *cachepolicy.Verdict) store.Epoch {
	urls := v.Invalidate
	if v.InvalidateSelf {
		urls = append([]string{selfURL(&x.q)}, urls...)
	}
	if x.res.Invalidate == nil || len(urls) == 0 {
		return store.Epoch{}
	}
	// The change is made, no matter whether the client waits for the response.
	return x.res.Invalidate(context.WithoutCancel(x.ctx), x.r, &x.q, urls, v.InvalidateSelf)
}

func selfURL(q *cachepolicy.Request) string {
	u := q.Scheme + "://" + q.Host + q.Path
	if q.RawQuery != "" {
		u += "?" + q.RawQuery
	}
	return u
}

// late is the reply to a request whose body did not come in time (RFC 9110 §15.5.9).
func late(err error) *Reply {
	return &Reply{failure: &deliver.Failure{Status: http.StatusRequestTimeout, ProxyError: "http_request_error", Detail: "the request body did not come in time", Err: err}}
}
