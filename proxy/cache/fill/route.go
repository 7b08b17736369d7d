package fill

import (
	"net/http"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/observe"
)

// Route is the part of a route that a fill needs. It is immutable and safe for concurrent use.
type Route struct {
	entry.Policy
	Origin   http.RoundTripper // sends requests whose URL path is the upstream's
	Coalesce Coalesce
	// AcceptEncoding is the field that the origin is sent if the gateway negotiates codings; "":
	// the client's own.
	AcceptEncoding string
	Errors         []*ErrorPage
	// Respond makes the route's changes to the header of an origin's response before the response
	// is stored or relayed. It may be nil.
	Respond    Respond
	Unattended *Allowance // for fills that no client waits for any more; nil: any number
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
