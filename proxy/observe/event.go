// Package observe collects what happened to a request. Others fill an Event; only this package and those it hands the finished Event to emit it.
package observe

import (
	"context"
	"net/http"
	"net/netip"
	"time"
)

// Event is the one record of what happened to one request. It belongs to the request's goroutine until Finish.
type Event struct {
	Start    time.Time
	Took     time.Duration // until its end; set at Finish
	Route    string
	Method   string
	Status   int   // 0: the client left before there was a response
	BytesIn  int64 // from the client: the head, as HTTP/1.1 would write it, and what was read of the content
	BytesOut int64 // of content to the client

	// The client's side, found at ingress.
	ClientIP           netip.Addr        // the nearest address that is not a trusted proxy; invalid where the peer has no IP address
	Scheme             string            // "http" or "https", as the client used it
	Host               string            // canonical: lower case, no default port, no trailing dot
	Captured           map[string]string // what the route's path pattern captured, in escaped form; nil where nothing needs it
	Upgrade            string            // the protocol that the client asked to upgrade to, lower case, "" for none
	RawHost, RawTarget string            // Host and target as net/http has them, before they were given their canonical form
	PeerTrusted        bool              // the peer is one of the trusted proxies
	Sampling           Sampling          // whether it is traced, where that was decided before a handler saw it

	// The cache's side.
	Cache      string // what it did for the request: one of the Cache words, "" for none
	Hit        bool
	Action     string // of cachepolicy.Action
	Reason     string // of cachepolicy.Reason
	Tier       string // where it was found: "memory", "redis" or ""
	TTL        time.Duration
	Age        time.Duration
	Stored     bool
	Queued     string // the ID under which it was queued to be applied later; "": it was not
	Refreshed  bool   // a write's new representation was stored before the write was answered
	Collapsed  bool   // answered by another request's fill
	Background bool   // a fill that no client waits for
	Lease      string // of a fill: what came of asking for the lease of all instances, "" where it did not ask
	KeyHash    string
	Key        uint64  // the beginning of the key's hash; 0: it has none
	Chance     float64 // the draw by which a refresh is due before its time, where it was made before a handler saw the request; 0: it was not
	Coding     string
	BytesSaved int64 // of content, by coding it here
	// Obstacle is, of some of the requests to a route without a cache, what would keep their like from being answered from one; "": not looked at.
	Obstacle    string
	ContentType string // of the answer
	ETag        string // of the answer
	ForwardFor  string // why it went forward, RFC 9211 fwd value, "" for a hit

	// The origin's side.
	Upstream        string
	Target          string
	UpstreamStatus  int
	Tries           int
	FirstByte       time.Duration
	OriginRequests  int    // calls to origins that were made for this Event; those of a fill are in the fill's own
	BytesFromOrigin int64  // of the content that those calls brought
	Err             error  // what failed, nil if nothing did
	ProxyStatus     string // RFC 9209 error type, "" when nothing failed

	spans spans
}

// Sampling says whether a request is to be traced.
type Sampling uint8

const (
	Undecided   Sampling = iota // whoever traces decides
	Recorded                    // decided already, when the request was read: it is traced
	NotRecorded                 // decided already: it is not
)

type contextKey struct{}

// NewContext returns a context that carries e.
func NewContext(ctx context.Context, e *Event) context.Context {
	return context.WithValue(ctx, contextKey{}, e)
}

// carrier is a context and the Event that it carries, in one piece: there is one for each request.
type carrier struct {
	context.Context
	event Event
}

// Value returns the Event for its key.
func (c *carrier) Value(key any) any {
	if _, ok := key.(contextKey); ok {
		return &c.event
	}
	return c.Context.Value(key)
}

// Begin returns a context that carries a new Event.
func Begin(ctx context.Context) (context.Context, *Event) {
	c := &carrier{Context: ctx}
	return c, &c.event
}

// FromContext returns the request's Event, or a fresh one that nobody reads where there is none.
func FromContext(ctx context.Context) *Event {
	if e, ok := ctx.Value(contextKey{}).(*Event); ok {
		return e
	}
	return new(Event)
}

// Sink is told of each finished request. It must not keep what it is given, and must return quickly. Its methods may be called concurrently.
type Sink interface {
	// Finish is told of a request that a handler answered.
	Finish(e *Event, r *http.Request)
	// Hit is told of a request that the connection answered from memory by itself: no handler has seen it. It must not allocate.
	Hit(h *Hit)
}
