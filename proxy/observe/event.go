// Package observe collects the events of requests. Other packages fill an Event. Only this package,
// and the sinks to which it passes the finished Event, emit it.
package observe

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/netip"
	"time"
)

// Event records everything that happens to one request. It belongs to the request's goroutine until
// Finish.
type Event struct {
	Start    time.Time
	Took     time.Duration // until the end of the request; set at Finish
	Route    string
	Method   string
	Status   int   // 0 if the client left before there was a response
	BytesIn  int64 // from the client: the head in HTTP/1.1 form, and the content read
	BytesOut int64 // content sent to the client

	// The client's side, set at ingress.
	ClientIP           netip.Addr        // the nearest address that is not a trusted proxy; invalid if the peer has no IP address
	Scheme             string            // "http" or "https", as the client used it
	Path               string            // canonical, before any rewrite
	Host               string            // canonical: lower case, no default port, no trailing dot
	Captured           map[string]string // captures of the route's path pattern in escaped form; nil if they are not needed
	RefusedBy, Refusal string            // the stage that refused the request, and its reason; "" if no stage did. With the reason "reported" the request passed, because the stage only reports. Both come from fixed lists
	Charged            bool              // the connection has charged the client for the request, but could not send the response
	Credential         string            // identifies the credential by which a stage let the request in, without revealing it; "" if no stage asked for one. No sink shows it
	Hidden             string            // the query parameter whose value no sink shows, because it is a credential; "" if there is none
	Upgrade            string            // the protocol of a requested upgrade, in lower case; "" without one
	RawHost, RawTarget string            // Host and target from net/http, before canonicalization
	PeerTrusted        bool              // the peer is a trusted proxy
	Sampling           Sampling          // whether the request is traced, if that was decided before a handler saw it

	// The cache's side.
	Cache      string // how the cache handled the request: one of the Cache words, or ""
	Hit        bool
	Action     string // word of cachepolicy.Action
	Reason     string // word of cachepolicy.Reason
	Tier       string // tier of the stored response: "memory", "redis" or ""
	TTL        time.Duration
	Age        time.Duration
	Stored     bool
	Queued     string // the ID of the queued write; "" if the request was not queued
	Refreshed  bool   // a write's new representation was stored before the write was answered
	Collapsed  bool   // another request's fill gave the answer
	Background bool   // a fill without a waiting client
	Lease      string // for a fill, the result of asking for the lease of all instances; "" if it did not ask
	KeyHash    string
	Key        uint64  // the beginning of the key's hash; 0 without a key
	Chance     float64 // the random draw that called for an early refresh, if it was made before a handler saw the request; otherwise 0
	Coding     string
	BytesSaved int64 // content bytes that compression in the gateway saved
	// Obstacle is the reason why a cache could not answer requests like this one. It is set for a
	// sample of the requests to routes without a cache, and otherwise "".
	Obstacle    string
	ContentType string // of the answer
	ETag        string // of the answer
	CookieVary  bool   // the answer has Vary: Cookie or Vary: *, so the request's cookies select it or it is never selected
	ForwardFor  string // why the request was forwarded, as the fwd value of RFC 9211; "" for a hit

	// The origin's side.
	Upstream        string
	Target          string
	UpstreamStatus  int
	Tries           int
	FirstByte       time.Duration
	OriginRequests  int    // calls to origins for this Event; a fill counts its calls in its own Event
	BytesFromOrigin int64  // content bytes from those calls
	Err             error  // the error, or nil
	ProxyStatus     string // RFC 9209 error type; "" without an error

	spans     spans
	requestID string
}

// RequestID returns a name for the request, for header rules that send it to the origin or the
// client. The request's goroutine creates it at the first call.
func (e *Event) RequestID() string {
	if e.requestID == "" {
		e.requestID = rand.Text()
	}
	return e.requestID
}

// Sampling says whether a request is traced.
type Sampling uint8

const (
	Undecided   Sampling = iota // the tracer decides
	Recorded                    // it is traced; this was decided when the request was read
	NotRecorded                 // it is not traced; this was decided when the request was read
)

type contextKey struct{}

// NewContext returns a context that carries e.
func NewContext(ctx context.Context, e *Event) context.Context {
	return context.WithValue(ctx, contextKey{}, e)
}

// Carrier is a context together with its Event, so that each request needs only one allocation for
// both.
type Carrier struct {
	context.Context
	Event Event
}

// Value returns the Event for its key.
func (c *Carrier) Value(key any) any {
	if _, ok := key.(contextKey); ok {
		return &c.Event
	}
	return c.Context.Value(key)
}

// FromContext returns the request's Event. Without one it returns a new Event that is never
// emitted.
func FromContext(ctx context.Context) *Event {
	if e, ok := ctx.Value(contextKey{}).(*Event); ok {
		return e
	}
	return unemitted()
}

// unemitted returns a new Event. It is not inlined, because the Event would then take up a part of
// each caller's stack.
//
//go:noinline
func unemitted() *Event { return new(Event) }

// Sink receives each finished request. It must not keep its arguments and must return quickly. Its
// methods may be called concurrently.
type Sink interface {
	// Finish receives a request that a handler answered.
	Finish(e *Event, r *http.Request)
	// Hit receives a request that the connection answered from memory without a handler. It must
	// not allocate.
	Hit(h *Hit)
}
