package cache

import (
	"context"
	"net/http"
	"net/url"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/store"
)

// Resource is the part of a route that the cache needs. It is immutable and safe for concurrent
// use.
type Resource struct {
	fill.Route
	Target Target // nil: the request's own path and query
	// Hits remembers hits, so that a connection may answer them from then on. It is nil if every
	// hit passes the route's stages.
	Hits *HitIndex
	// MayHit is asked before a connection answers a hit, and is true if it may. It is nil if no
	// stage of the route can forbid that. It must not keep the Located.
	MayHit func(*edge.Located) bool
	// CORS sets the fields of the CORS protocol in the hits that a connection answers, as the handler
	// in front of the route's stages does in all other responses. It is nil if the route has no such
	// rules.
	CORS *edge.CORS
	// Hidden is the query parameter whose value no log shows, because it is a credential; "" if there
	// is none.
	Hidden  string
	Upgrade string // the protocol that connections may be upgraded to; "": no upgrades
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

// Target returns the upstream's URL for a request, without scheme and authority.
type Target func(r *http.Request) (*url.URL, error)
