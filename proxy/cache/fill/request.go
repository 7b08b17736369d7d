package fill

import (
	"context"
	"net/http"
	"net/url"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/tiers"
)

// Request is a client's request after the cache has located it. It does not change once its plan is
// made. So a fill can read it while the client's goroutine goes on, and after the client has left.
type Request struct {
	// Ctx is the client's context. It bounds the client's own waiting and reading, and never a
	// fill.
	Ctx   context.Context
	Route *Route
	HTTP  *http.Request
	View  cachepolicy.Request
	Key   cachepolicy.Key
	// Target is the upstream's URL for this request, without scheme and authority.
	Target *url.URL
	// Impatient is true if the request must not wait for a fill of another instance.
	Impatient bool
}

// Query returns x as lookups see it.
func (x *Request) Query() tiers.Query {
	return tiers.Query{Policy: &x.Route.Policy, Key: x.Key, Request: &x.View}
}

// Outgoing returns the request for the origin with the given header, without a body.
func (x *Request) Outgoing(ctx context.Context, header http.Header) *http.Request {
	out := http.Request{
		Method: x.HTTP.Method, URL: x.Target, Host: x.HTTP.Host, Header: header, Proto: x.HTTP.Proto, ProtoMajor: x.HTTP.ProtoMajor,
		ProtoMinor: x.HTTP.ProtoMinor, Body: http.NoBody, RemoteAddr: x.HTTP.RemoteAddr,
	}
	return out.WithContext(ctx)
}

// OutgoingWithBody is Outgoing with the client's body.
func (x *Request) OutgoingWithBody(ctx context.Context, header http.Header) *http.Request {
	out := x.Outgoing(ctx, header)
	if x.HTTP.ContentLength != 0 {
		out.Body, out.ContentLength = x.HTTP.Body, x.HTTP.ContentLength
		out.TransferEncoding, out.Trailer = x.HTTP.TransferEncoding, x.HTTP.Trailer
	}
	return out
}
