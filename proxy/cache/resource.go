package cache

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// Resource is the cache's side of a route. It is immutable and may be used concurrently.
type Resource struct {
	Rules    *cachepolicy.Rules
	Origin   http.RoundTripper // gets requests whose URL path is the upstream's
	Coalesce Coalesce
	Compress *compress.Policy // nil: no coding is made for this route
	// AcceptEncoding is what the origin is asked for where the gateway negotiates codings; "": what the client sent.
	AcceptEncoding string
	Errors         []*ErrorPage
	// Respond changes an origin's response header before it is stored or relayed (the route's header rules); may be nil.
	Respond func(http.Header)
	Tags    Tags
	Target  Target // nil: the request's own path and query
	Tiers   Tiers
	// Memo is where hits are remembered that a connection may answer from then on. nil: the route's handler does more with a request than the cache.
	Memo        *Memo
	MaxVariants int
	MaxObject   int64  // bytes; a larger body is streamed and not kept
	Upgrade     string // the protocol that connections may be upgraded to; "": none
	// Invalidate makes stale what the write r has changed, on all instances: what is stored of each of the absolute URLs, whatever route it is on
	// (RFC 9111 §4.4), and with own also what the route names beside them. It returns the moment in the history of purges at which that happened, the
	// zero Epoch where it is not known.
	Invalidate func(ctx context.Context, r *http.Request, q *cachepolicy.Request, urls []string, own bool) store.Epoch
	// Queued tells a read of a write that was accepted and is yet to be applied; nil: there are none.
	Queued func(r *http.Request, q *cachepolicy.Request) Queued
	// Through has the new representation taken into all tiers before a write is answered; nil: it is fetched when it is asked for.
	Through *Through
}

// Coalesce says how requests for one object share one call.
type Coalesce struct {
	Enabled    bool
	MaxWaiters int
	Wait       time.Duration
	// AcrossInstances has one instance fill for all, where they share a tier.
	AcrossInstances bool
}

// Tiers are the stores that a route uses.
type Tiers struct {
	Memory bool // within the process
	Shared bool // of all instances
}

// Target gives the upstream's URL for a request, without scheme and authority.
type Target func(r *http.Request) (*url.URL, error)

// maxDecodedRatio bounds how much a coded body may grow: the best that gzip can do is about 1000 to 1, and no honest text comes near.
const maxDecodedRatio = 400

// decodeLimit bounds what decoding for one client may cost.
func (res *Resource) decodeLimit() compress.Limit {
	return compress.Limit{Bytes: 16 * res.MaxObject, Ratio: maxDecodedRatio}
}

// derivable are the codings that may be made of a response with this header, which has the given coding and size (-1: not known).
func (res *Resource) derivable(status int, h http.Header, size int64, coding compress.Coding) compress.Set {
	var set compress.Set
	if coding == compress.Unknown {
		return set
	}
	if coding != compress.Identity && !compress.NoTransform(h) && status != http.StatusPartialContent && len(h["Content-Range"]) == 0 {
		set.Add(compress.Identity)
	}
	if res.Compress == nil {
		return set
	}
	if ok, _ := res.Compress.Eligible(status, h, size, compress.Identity); !ok {
		return set
	}
	for _, c := range res.Compress.Encodings {
		if c != coding {
			set.Add(c)
		}
	}
	return set
}
