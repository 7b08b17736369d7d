// Package cache is where the client's side and the origin's side meet: it looks up, asks cachepolicy, obeys, stores and delivers.
//
// It decides nothing about reuse or storing: those questions go to cachepolicy's Decide and Settle. It knows nothing of routing or
// configuration: a Resource carries what a route compiled to. A request is turned into a Reply, which says what will be delivered and
// why; only then is a byte written. So the same Reply can answer a client (Handler) or, later, a part of a larger answer.
package cache

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/store"
)

// Config is what a Cache is made of.
type Config struct {
	Store  store.Store
	Now    func() time.Time // the clock, read once per decision
	Random func() float64   // in [0,1): jitter and early refresh
	Log    *slog.Logger
	Name   string // how the cache calls itself in Cache-Status (RFC 9211 §2)
}

// Cache answers requests from a store and fills it from origins. It may be used concurrently and by any number of Resources.
type Cache struct {
	store       store.Store
	now         func() time.Time
	random      func() float64
	log         *slog.Logger
	name        string
	flights     flight.Group[flightKey, *landing]
	spools      flight.Group[uint64, struct{}] // coded bodies of fills under way
	unshareable *unshareable
	doomed      *doomed
	deriving    sync.Map // derivation → struct{}: codings being made
	tunnels     tunnels
	serial      atomic.Uint64

	base    context.Context // of fills and refreshes, which belong to no client
	stop    context.CancelFunc
	mu      sync.Mutex // guards closed against new fills
	closed  bool
	filling sync.WaitGroup
}

// New returns a Cache. Close ends its background work.
func New(cfg Config) *Cache {
	base, stop := context.WithCancel(context.Background())
	return &Cache{
		store: cfg.Store, now: cfg.Now, random: cfg.Random, log: cfg.Log, name: cfg.Name,
		unshareable: newUnshareable(cfg.Now), doomed: newDoomed(), base: base, stop: stop,
	}
}

// Close waits for fills and refreshes to end until ctx is done, then cancels what is left and waits for it.
func (c *Cache) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	ended := make(chan struct{})
	go func() { c.filling.Wait(); close(ended) }()
	select {
	case <-ended:
		c.stop()
		return nil
	case <-ctx.Done():
		c.stop()
		<-ended
		return ctx.Err()
	}
}

// background runs f on a goroutine that Close waits for. It reports false, and does nothing, once the cache is closed.
func (c *Cache) background(f func(ctx context.Context)) bool {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return false
	}
	c.filling.Add(1)
	c.mu.Unlock()
	go func() {
		defer c.filling.Done()
		f(c.base)
	}()
	return true
}

// Flights is the number of fills under way.
func (c *Cache) Flights() int { return c.flights.Len() }

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
	Respond     func(http.Header)
	Tags        Tags
	Target      Target // nil: the request's own path and query
	MaxVariants int
	MaxObject   int64  // bytes; a larger body is streamed and not kept
	Upgrade     string // the protocol that connections may be upgraded to; "": none
	// Invalidate makes another URL's stored responses stale, whatever route it is on (RFC 9111 §4.4).
	Invalidate func(ctx context.Context, absoluteURL string, q *cachepolicy.Request)
}

// Coalesce says how requests for one object share one call.
type Coalesce struct {
	Enabled    bool
	MaxWaiters int
	Wait       time.Duration
}

// Tags says where the tags of a stored response come from.
type Tags struct {
	Header string // response field with space- or comma-separated tags; "" for none
	Send   bool   // pass that field on to clients
	// Expand gives further tags for a request; may be nil. It is called while the request is there.
	Expand func(*http.Request) []string
}

var errClosed = errors.New("the gateway is shutting down")
