package cache

import (
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/cache/tiers"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
)

// located is a request with the results of locating it. It does not change once its plan is made.
type located struct {
	fill.Request
	// keyless is the reason why a request has no key, on a route with a cache. ReasonNone means
	// that it has one.
	keyless cachepolicy.Reason
	// upgrade is the protocol that the client asks to change to, if the route allows that. It is ""
	// otherwise.
	upgrade string
}

// request is one client's request on its way through the cache. It belongs to the client's
// goroutine alone.
type request struct {
	located
	res *Resource
	ev  *observe.Event
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
	answer   fill.Answer
	reply    fill.Reply
	delivery deliver.Delivery
}

// newRequest returns the request r on res, with ev as its record. It returns a request with an
// error too. The error says why r has no target upstream.
//
// at is the connection's result of locating r, or nil if it did not locate it.
func newRequest(res *Resource, r *http.Request, ev *observe.Event, at *edge.Located) (*request, error) {
	x := &request{
		located: located{Request: fill.Request{Ctx: r.Context(), Route: &res.Route, HTTP: r, View: view(r, ev), Target: r.URL}}, res: res, ev: ev,
	}
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
		x.Target = target
	}
	return x, err
}

// locate gives x its key. If the connection has already computed the key, and x still has the URL
// that the connection located, locate takes that key. Stages may have changed the URL.
func (x *located) locate(at *edge.Located) {
	q, rules := &x.View, x.Route.Rules
	if at != nil && at.Key.Full != "" && at.Path == q.Path && at.Query == q.RawQuery && at.Host == q.Host && at.Scheme == q.Scheme &&
		at.Route == rules.Route && rules.KeyedByURL() {
		x.Key, x.keyless = rules.KeyAt(q, at.Key)
		return
	}
	x.Key, x.keyless = rules.Key(q)
}

// keylessOutcome returns the outcome of a request that has no key.
func (x *located) keylessOutcome() cachepolicy.CacheStatus {
	if !x.Route.Rules.Enabled {
		return cachepolicy.CacheStatus{Forward: cachepolicy.ForwardBypass}
	}
	return cachepolicy.CacheStatus{Forward: x.keyless.Forward(), Reason: x.keyless}
}

// view returns r in the form that cachepolicy takes.
func view(r *http.Request, ev *observe.Event) cachepolicy.Request {
	return cachepolicy.Request{
		Method: r.Method, Scheme: ev.Scheme, Host: r.Host, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery,
		Header: r.Header, HasBody: r.ContentLength != 0, Credential: ev.Credential,
	}
}
