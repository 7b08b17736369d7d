package cache

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// Resource is the part of a route that the cache needs. It is immutable and safe for concurrent
// use.
type Resource struct {
	entry.Policy
	Origin   http.RoundTripper // sends requests whose URL path is the upstream's
	Coalesce Coalesce
	// AcceptEncoding is the field that the origin is sent if the gateway negotiates codings; "":
	// the client's own.
	AcceptEncoding string
	Errors         []*ErrorPage
	// Respond makes the route's changes to the header of an origin's response before the response
	// is stored or relayed. It may be nil.
	Respond Respond
	Target  Target // nil: the request's own path and query
	// Memo remembers hits, so that a connection may answer them from then on. It is nil if every
	// hit passes the route's stages.
	Memo *Memo
	// MayHit is asked before a connection answers a hit, and is true if it may. It is nil if no
	// stage of the route can forbid that. It must not keep the Located.
	MayHit     func(*edge.Located) bool
	Unattended *Allowance // for fills that no client waits for any more; nil: any number
	Upgrade    string     // the protocol that connections may be upgraded to; "": no upgrades
	// Invalidate makes the responses stale that the write r has changed, on all instances. These
	// are the stored responses of each of the absolute URLs, on any route (RFC 9111 §4.4). If own
	// is true, it also invalidates the responses that the route names for such a write. It returns
	// the moment in the history of purges at which that happened, or the zero Epoch if the moment
	// is not known.
	Invalidate func(ctx context.Context, r *http.Request, q *cachepolicy.Request, urls []string, own bool) store.Epoch
	// Through has the new representation stored in all tiers before a write is answered; nil: the
	// next read fetches it.
	Through *Through
}

// Respond changes the header of the response to a request. It reads from ev only facts that were
// noted at ingress. If the response may be stored, the fields that it writes must follow from the
// response's key.
type Respond func(q *cachepolicy.Request, ev *observe.Event, h http.Header)

// Coalesce says how requests for one object share one call to the origin.
type Coalesce struct {
	Enabled    bool
	MaxWaiters int
	Wait       time.Duration
	// AcrossInstances is true if one instance fills for all instances that share a tier.
	AcrossInstances bool
}

// Target returns the upstream's URL for a request, without scheme and authority.
type Target func(r *http.Request) (*url.URL, error)
