package cache

import (
	"context"
	"net/http"
	"net/url"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/tiers"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
)

// request is a client's request after the cache has located it. It does not change once its plan is
// made. So a fill can read it while the client's goroutine goes on, and after the client has left.
type request struct {
	// ctx is the client's context. It bounds the client's own waiting and reading, and never a
	// fill.
	ctx context.Context
	res *Resource
	r   *http.Request
	q   cachepolicy.Request
	key cachepolicy.Key
	// keyless is the reason why a request has no key, on a route with a cache. ReasonNone means
	// that it has one.
	keyless cachepolicy.Reason
	// target is the upstream's URL for this request, without scheme and authority.
	target *url.URL
	// upgrade is the protocol that the client asks to change to, if the route allows that. It is ""
	// otherwise.
	upgrade string
	// impatient is true if the request must not wait for a fill of another instance.
	impatient bool
}

// exchange is one client's request on its way through the cache. It belongs to the client's
// goroutine alone.
type exchange struct {
	request
	ev *observe.Event
	// plan says how the request is answered. Its entry and decision are updated when the request
	// leads a flight.
	plan   Plan
	budget tiers.Budget
	// regrouped is true once the request has left a flight for that of its own variant. It does so
	// at most once.
	regrouped bool
	// rounds is the number of flights that the request has waited for in vain: they ended without a
	// response, or took too long.
	rounds int
	// refreshing is true once the request has begun a refresh in the background.
	refreshing bool
	// body is the client's body, which is forwarded to the origin; nil: it has no body.
	body *deliver.ClientBody
	// interim passes a 1xx response on to the client.
	interim func(status int, h http.Header)

	// These values are used once, by the client's goroutine alone. They are here so that they cost
	// no allocation of their own.
	answer   answer
	reply    Reply
	delivery deliver.Delivery
}

// newExchange returns the exchange for r on res, with ev as its record. It returns an exchange with
// an error too. The error says why r has no target upstream.
//
// at is the connection's result of locating r, or nil if it did not locate it.
func newExchange(res *Resource, r *http.Request, ev *observe.Event, at *edge.Located) (*exchange, error) {
	x := &exchange{request: request{ctx: r.Context(), res: res, r: r, q: view(r, ev.Scheme), target: r.URL}, ev: ev}
	if ev.Upgrade == res.Upgrade {
		x.upgrade = ev.Upgrade
	}
	if res.Rules.Enabled {
		x.locate(at)
	}
	if res.Target == nil {
		return x, nil
	}
	target, err := res.Target(r)
	if err == nil {
		x.target = target
	}
	return x, err
}

// locate gives x its key. If the connection has already computed the key, and x still has the URL
// that the connection located, locate takes that key. Stages may have changed the URL.
func (x *request) locate(at *edge.Located) {
	q, rules := &x.q, x.res.Rules
	if at != nil && at.Key.Full != "" && at.Path == q.Path && at.Query == q.RawQuery && at.Host == q.Host && at.Scheme == q.Scheme &&
		at.Route == rules.Route && rules.KeyedByURL() {
		x.key, x.keyless = rules.KeyAt(q, at.Key)
		return
	}
	x.key, x.keyless = rules.Key(q)
}

// query returns x as lookups see it.
func (x *request) query() tiers.Query {
	return tiers.Query{Policy: &x.res.Policy, Key: x.key, Request: &x.q}
}

// keylessOutcome returns the outcome of a request that has no key.
func (x *request) keylessOutcome() cachepolicy.CacheStatus {
	if !x.res.Rules.Enabled {
		return cachepolicy.CacheStatus{Forward: cachepolicy.ForwardBypass}
	}
	return cachepolicy.CacheStatus{Forward: x.keyless.Forward(), Reason: x.keyless}
}

// view returns r in the form that cachepolicy takes.
func view(r *http.Request, scheme string) cachepolicy.Request {
	return cachepolicy.Request{
		Method: r.Method, Scheme: scheme, Host: r.Host, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery,
		Header: r.Header, HasBody: r.ContentLength != 0,
	}
}

// outgoing returns the request for the origin with the given header, without a body.
func (x *request) outgoing(ctx context.Context, header http.Header) *http.Request {
	out := http.Request{
		Method: x.r.Method, URL: x.target, Host: x.r.Host, Header: header, Proto: x.r.Proto, ProtoMajor: x.r.ProtoMajor,
		ProtoMinor: x.r.ProtoMinor, Body: http.NoBody, RemoteAddr: x.r.RemoteAddr,
	}
	return out.WithContext(ctx)
}

// outgoingBody is outgoing with the client's body.
func (x *request) outgoingBody(ctx context.Context, header http.Header) *http.Request {
	out := x.outgoing(ctx, header)
	if x.r.ContentLength != 0 {
		out.Body, out.ContentLength = x.r.Body, x.r.ContentLength
		out.TransferEncoding, out.Trailer = x.r.TransferEncoding, x.r.Trailer
	}
	return out
}
