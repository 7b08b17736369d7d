package edge

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/observe"
)

// Located is a request and the place that it leads to. A connection that can't answer a request
// itself hands its Located over, so that the guard, the router and the cache do not repeat the
// work. A Located never changes once it is handed over.
type Located struct {
	Method, Scheme  string
	RawHost, Target string     // as the client sent them
	Client          netip.Addr // invalid if the client has no IP address
	BodySize        int64      // of the announced content; -1 if the client does not announce a size

	Host, Path, Query string            // canonical; Path is the one by which the route answers
	Route             string            // the name of the route
	Captured          map[string]string // the parameters of the route's path pattern; nil if the route does not need them
	Key               cachepolicy.Key   // zero if host, path and query alone do not determine it

	// Fields are the field lines of the request, for the functions of a Stage. They are nil in a
	// Located that a connection hands over.
	Fields Fields

	// Credential and Dropped are set by explanations: see observe.Event.Credential, and the fields that
	// a stage has taken off.
	Credential string
	Dropped    []string

	// By is the configuration that located the request. Under another one the request must be
	// located anew.
	By any
}

// Fields are the field lines of a request.
type Fields interface {
	// Line returns the number of lines with the given name, which is in canonical form, and the
	// line's value if there is exactly one. The value may be a view of a connection's buffer.
	Line(name string) (value string, lines int)
}

// HeaderFields returns the field lines of h.
func HeaderFields(h http.Header) Fields { return headerFields(h) }

type headerFields http.Header

// Line implements Fields.
func (h headerFields) Line(name string) (value string, lines int) {
	values := h[name]
	if len(values) == 1 {
		value = values[0]
	}
	return value, len(values)
}

// From reports whether at was located for r, which its client sent to the given host by the given
// scheme.
func (at *Located) From(r *http.Request, scheme, host string) bool {
	return at.Target == r.RequestURI && at.RawHost == host && at.Scheme == scheme && at.Method == r.Method
}

// At reports whether r, in canonical form, leads to the same place as at.
func (at *Located) At(r *http.Request) bool {
	return at.Path == r.URL.RawPath && at.Host == r.Host && at.Method == r.Method
}

type locatedKey struct{}

// carrier is the context of a request: its Event, and its Located if the connection handed one
// over.
type carrier struct {
	observe.Carrier
	at *Located
}

// Value returns the Located or the Event for their keys.
func (c *carrier) Value(key any) any {
	if _, ok := key.(locatedKey); ok {
		return c.at
	}
	return c.Carrier.Value(key)
}

// Begin returns a context that carries a new Event and at, which is nil if the connection located
// nothing.
func Begin(ctx context.Context, at *Located) (context.Context, *observe.Event) {
	c := &carrier{observe.Carrier{Context: ctx}, at}
	return c, &c.Event
}

// LocatedOf returns the Located that the connection handed over with the request of ctx, or nil.
// The caller checks that it is still of the same request: stages change requests, and the context
// of a request is also that of the calls that the gateway makes for it.
func LocatedOf(ctx context.Context) *Located {
	at, _ := ctx.Value(locatedKey{}).(*Located)
	return at
}
