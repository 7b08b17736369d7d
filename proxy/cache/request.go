package cache

import (
	"context"
	"net/http"
	"net/url"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/observe"
)

// exchange is one client's request on its way through the cache. It belongs to the client's goroutine; fills copy what they need.
type exchange struct {
	ctx context.Context
	res *Resource
	r   *http.Request
	q   cachepolicy.Request
	ev  *observe.Event
	key cachepolicy.Key
	// target is the upstream's URL for this request, without scheme and authority.
	target *url.URL
	// vary has the fields that responses under this key are known to vary on, once that is known.
	vary cachepolicy.Vary
	// varyMiss is set when something is stored under the key, but no variant for this request.
	varyMiss bool
	// interim passes a 1xx response on to the client; may be nil.
	interim func(status int, h http.Header)
}

// view is r as cachepolicy sees it.
func view(r *http.Request, scheme string) cachepolicy.Request {
	return cachepolicy.Request{
		Method: r.Method, Scheme: scheme, Host: r.Host, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery,
		Header: r.Header, HasBody: r.ContentLength != 0,
	}
}

// outgoing returns the request for the origin, with a header map of its own.
func (x *exchange) outgoing(ctx context.Context, header http.Header) *http.Request {
	out := &http.Request{
		Method: x.r.Method, URL: x.target, Host: x.r.Host, Header: header, Proto: x.r.Proto, ProtoMajor: x.r.ProtoMajor,
		ProtoMinor: x.r.ProtoMinor, Body: http.NoBody, RemoteAddr: x.r.RemoteAddr,
	}
	return out.WithContext(ctx)
}

// conditionals are the request fields that a fill takes out: the gateway asks for the whole response and evaluates them itself.
var conditionals = [...]string{"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range"}

// fillHeader is the client's header as a fill sends it: without what concerns this client's copy alone.
func (x *exchange) fillHeader() http.Header {
	h := x.r.Header.Clone()
	for _, name := range conditionals {
		delete(h, name)
	}
	x.acceptEncoding(h)
	return h
}

// acceptEncoding asks the origin for the codings of the route, where the gateway negotiates with the client itself.
func (x *exchange) acceptEncoding(h http.Header) {
	if x.res.AcceptEncoding != "" {
		h["Accept-Encoding"] = []string{x.res.AcceptEncoding}
	}
}
