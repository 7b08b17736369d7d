package cache

import (
	"context"
	"maps"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/store"
)

// pass forwards x for its client alone, and carries out the invalidations that the response calls
// for.
func (c *Cache) pass(x *request) *fill.Reply {
	header := x.PassHeader()
	if protocol := x.plan.protocol; protocol != "" {
		header = x.upgradeHeader(protocol)
	}
	return c.forward(x, header, nil, x.plan.outcome)
}

// upgradeHeader returns the header of a request that asks for another protocol. Upgrade ends at
// each hop, and so is written anew (RFC 9110 §7.8).
func (x *located) upgradeHeader(protocol string) http.Header {
	header := maps.Clone(x.HTTP.Header)
	fill.OriginConditions(header, x.View.Method)
	header["Connection"], header["Upgrade"] = []string{"Upgrade"}, []string{protocol}
	return header
}

// forward makes x's own call to the origin. stored is the response that the answer may freshen. It
// may be nil.
func (c *Cache) forward(x *request, header http.Header, stored *store.Entry, out cachepolicy.CacheStatus) *fill.Reply {
	to := c.tiers.Destination(&x.res.Policy, x.Key)
	to.RequestTags = x.res.Tags.OfRequest(x.HTTP)
	a := &x.answer
	c.fills.Call(a, &x.Request, x.OutgoingWithBody(c.fills.WithInterim(x.Ctx, x.interim), header), stored)
	to.NamedTags = a.Tags
	if a.Err != nil && x.body.TooLate(x.Ctx) {
		return late(a.Err)
	}
	if a.Err != nil && x.Ctx.Err() != nil {
		return gone(x.Ctx)
	}
	if stored != nil {
		c.fills.Failures.Note(x.Key.Hash, &a.Facts)
	}
	v := x.res.Rules.Settle(&x.View, entry.MetaOf(stored), &a.Facts, c.Now(), c.random())
	c.sampleObstacle(x, a)
	v.Meta.Seq = c.tiers.NextSeq()
	out.ForwardStatus = a.Facts.Status
	out.Stored = c.written(x, to, a, &v)
	switch v.Effect {
	case cachepolicy.KeepStale:
		a.Discard()
		d := x.res.StaleDecision(stored, c.Now(), v.Reason)
		out.TTL, out.HasTTL, out.Reason = d.TTL, true, v.Reason
		return &fill.Reply{Entry: stored, Decision: d, Status: out}
	case cachepolicy.Freshen:
		c.tiers.Freshen(x.Ctx, to, stored, &v)
	case cachepolicy.Drop:
		c.tiers.Drop(x.Ctx, x.Key)
	case cachepolicy.Store:
		// With Through the response is already stored. A transient one is about to change.
		if x.res.Through == nil && !x.plan.transient {
			c.storePosted(x, a, &v)
		}
	}
	substituted := false
	if page := x.res.Page(a, v.Effect); page != nil {
		if instead := c.fills.Substitute(x.Ctx, &x.Request, page, a); instead != nil {
			a, substituted = instead, true
		}
	}
	if a.Err != nil {
		return &fill.Reply{Failure: deliver.FailureOf(a.Err), Status: out}
	}
	x.reply = fill.Reply{Response: a.Response, Substituted: substituted, Status: out}
	return &x.reply
}

// obstacleOne is the sampling rate of sampleObstacle: one in so many responses of a route without a
// cache is examined as if the route had a cache.
const obstacleOne = 4

// sampleObstacle notes the obstacle that would keep requests like x from being answered from a
// cache, if their route had one.
func (c *Cache) sampleObstacle(x *request, a *fill.Answer) {
	if !x.res.Rules.Enabled && x.View.Method == http.MethodGet && a.Err == nil && c.random()*obstacleOne < 1 {
		x.ev.Obstacle = x.res.Rules.Obstacle(&x.View, &a.Facts).String()
	}
}

// invalidate makes the responses stale that an unsafe request has changed: its own URL and the URLs
// that the response names (RFC 9111 §4.4). It does so on a route without a cache too, because
// another route may have stored these responses. It returns the moment of the invalidation.
func (c *Cache) invalidate(x *request, v *cachepolicy.Verdict) store.Epoch {
	urls := v.Invalidate
	if v.InvalidateSelf {
		urls = append([]string{selfURL(&x.View)}, urls...)
	}
	if x.res.Invalidate == nil || len(urls) == 0 {
		return store.Epoch{}
	}
	// The change is made, no matter whether the client waits for the response.
	return x.res.Invalidate(context.WithoutCancel(x.Ctx), x.HTTP, &x.View, urls, v.InvalidateSelf)
}

func selfURL(q *cachepolicy.Request) string {
	u := q.Scheme + "://" + q.Host + q.Path
	if q.RawQuery != "" {
		u += "?" + q.RawQuery
	}
	return u
}

// late is the reply to a request whose body did not come in time (RFC 9110 §15.5.9).
func late(err error) *fill.Reply {
	return &fill.Reply{Failure: &deliver.Failure{Status: http.StatusRequestTimeout, ProxyError: "http_request_error", Detail: "the request body did not come in time", Err: err}}
}
