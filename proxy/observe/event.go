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
	Route    string
	Method   string
	Status   int
	BytesOut int64

	// The client's side, found at ingress.
	ClientIP netip.Addr        // the nearest address that is not a trusted proxy; invalid where the peer has no IP address
	Scheme   string            // "http" or "https", as the client used it
	Host     string            // canonical: lower case, no default port, no trailing dot
	Captured map[string]string // what the route's path pattern captured, in escaped form; nil where nothing needs it
	Upgrade  string            // the protocol that the client asked to upgrade to, lower case, "" for none
	Sampling Sampling          // whether it is traced, where that was decided before a handler saw it

	// The cache's side.
	Hit        bool
	Action     string // of cachepolicy.Action
	Reason     string // of cachepolicy.Reason
	Tier       string // where it was found: "memory", "redis" or ""
	TTL        time.Duration
	Age        time.Duration
	Stored     bool
	Collapsed  bool // answered by another request's fill
	KeyHash    string
	Coding     string
	ForwardFor string // why it went forward, RFC 9211 fwd value, "" for a hit

	// The origin's side.
	Upstream       string
	Target         string
	UpstreamStatus int
	Tries          int
	FirstByte      time.Duration
	BytesIn        int64
	Err            error  // what failed, nil if nothing did
	ProxyStatus    string // RFC 9209 error type, "" when nothing failed
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
