package cache

import (
	"context"
	"net/http"
	"net/url"
	"time"

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
	// regrouped and restarted are set when it has left a flight for that of its variant, and when it has looked again after a flight that
	// came to nothing. Each happens once.
	regrouped, restarted bool
	// impatient is set when it has waited for a call of this instance as long as it may: it does not wait for one of the fleet as well.
	impatient bool
	// transient is set when a queued write is going to change what it asks for: nothing of the answer is stored.
	transient bool
	// fence is the token under which its fill stores without a lease, 0 for none.
	fence uint64
	// sharedUntil is when it asks the shared tier for nothing more; zero: it has not asked yet.
	sharedUntil time.Time
	// refreshing is set when it has begun a refresh in the background.
	refreshing bool
	// tier is where the response was found.
	tier string
	// body is the client's body on its way up; nil: there is none.
	body *clientBody
	// interim passes a 1xx response on to the client.
	interim func(status int, h http.Header)

	// What the client's goroutine alone needs, and needs once: it is here so that it costs no allocation of its own.
	answer   answer
	reply    Reply
	delivery delivery
	counted  countedBody
}

// view is r as cachepolicy sees it.
func view(r *http.Request, scheme string) cachepolicy.Request {
	return cachepolicy.Request{
		Method: r.Method, Scheme: scheme, Host: r.Host, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery,
		Header: r.Header, HasBody: r.ContentLength != 0,
	}
}

// outgoing returns the request for the origin with the given header, without a body.
func (x *exchange) outgoing(ctx context.Context, header http.Header) *http.Request {
	out := http.Request{
		Method: x.r.Method, URL: x.target, Host: x.r.Host, Header: header, Proto: x.r.Proto, ProtoMajor: x.r.ProtoMajor,
		ProtoMinor: x.r.ProtoMinor, Body: http.NoBody, RemoteAddr: x.r.RemoteAddr,
	}
	return out.WithContext(ctx)
}

// outgoingBody is outgoing with the client's body.
func (x *exchange) outgoingBody(ctx context.Context, header http.Header) *http.Request {
	out := x.outgoing(ctx, header)
	if x.r.ContentLength != 0 {
		out.Body, out.ContentLength = x.r.Body, x.r.ContentLength
		out.TransferEncoding, out.Trailer = x.r.TransferEncoding, x.r.Trailer
	}
	return out
}

// The words for where a response was found.
const (
	tierMemory = "memory"
	tierShared = "redis"
	tierQueue  = "queue"
)
