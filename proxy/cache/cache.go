// Package cache is where the client's side and the origin's side meet: it looks up, asks cachepolicy, obeys, stores and delivers.
//
// It decides nothing about reuse or storing: those questions go to cachepolicy's Decide and Settle. It knows nothing of routing,
// configuration or connections: a Resource carries what a route compiled to, and an origin is an http.RoundTripper. A request is turned
// into a Reply, which says what will be delivered and why; only then is a byte written.
//
// What is fetched for the cache is fetched by a fill, which belongs to no client: a goroutine with a context of its own, whose response all
// who wait read along as it grows. A fill never waits for a client, but for the readers of a body that is too large to be kept.
//
// There are two tiers: the memory of the process, and, where instances share one, that of all of them ([Shared]). The second is asked where the
// first has no answer, and what it has is taken into the first. With a lease one instance fills for all, and the others take what it has shared;
// without one, or without the tier, each goes to the origin by itself. A request loses no more to the tier than its budget.
//
// What is stored is judged by the history of purges ([store.Epochs]) each time it is looked up: it carries the epoch at which its fill began.
package cache

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// Config is what a Cache is made of.
type Config struct {
	Store  store.Store // the tier within the process
	Shared Shared      // the tier of all instances; nil: there is none
	// SharedBudget is what one request may lose to Shared in all.
	SharedBudget time.Duration
	Epochs       *store.Epochs // what purges have left of stored responses; nil: there are no purges
	// Applied is the moment up to which this instance has applied all purges that there are, of the other instances' too. nil: Epochs.Now.
	Applied func() store.Epoch
	// Used is told of one in UsedSample hits, which then counts for as many; nil: nobody wants to know.
	Used       func(k cachepolicy.Key, uses int)
	UsedSample int
	// Filled is told of each fill that has ended. It must not keep the Event. nil: nobody wants to know.
	Filled func(*observe.Event)
	Now    func() time.Time // the clock, read once per decision
	Random func() float64   // in [0,1): jitter and early refresh
	Log    *slog.Logger
	Name   string // how the cache calls itself in Cache-Status (RFC 9211 §2)
	// WriteError answers with an error of the gateway's own making; kind is an error type of RFC 9209, or "".
	WriteError func(w http.ResponseWriter, r *http.Request, status int, kind, detail string)
	// Rewritten reports the request fields that don't come to the cache as the client sent them; nil: none.
	Rewritten func(name string) bool
	// WithInterim returns a context under which origins hand interim responses to deliver while RoundTrip runs. nil: they are dropped.
	WithInterim func(ctx context.Context, deliver func(status int, h http.Header)) context.Context
}

// Cache answers requests from a store and fills it from origins. It may be used concurrently and by any number of Resources.
type Cache struct {
	Config
	flights     flight.Group[flightKey, *landing]
	coded       flight.Group[uint64, struct{}] // coded bodies of fills under way
	unshareable *unshareable
	doomed      *doomed
	setbacks    *setbacks
	deriving    sync.Map      // derivation → struct{}: codings being made
	coders      chan struct{} // holds one for each coding that is made in the background
	tunnels     tunnels
	serial      atomic.Uint64
	waiting     atomic.Int64

	base    context.Context // of fills and refreshes, which belong to no client
	stop    context.CancelFunc
	mu      sync.Mutex // guards closed against new fills
	closed  bool
	filling sync.WaitGroup
}

var errClosed = errors.New("the gateway is shutting down")

// New returns a Cache. Close ends its background work.
func New(cfg Config) *Cache {
	base, stop := context.WithCancel(context.Background())
	if cfg.WithInterim == nil {
		cfg.WithInterim = func(ctx context.Context, _ func(int, http.Header)) context.Context { return ctx }
	}
	if cfg.Applied == nil && cfg.Epochs != nil {
		cfg.Applied = cfg.Epochs.Now
	}
	return &Cache{
		Config: cfg, base: base, stop: stop,
		unshareable: newUnshareable(cfg.Now), doomed: newDoomed(), setbacks: new(setbacks),
		coders: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// Close waits for fills and refreshes to end until ctx is done, then cancels what is left and waits for it. Upgraded connections are
// ended at once.
func (c *Cache) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.CloseTunnels()
	ended := make(chan struct{})
	go func() { c.filling.Wait(); close(ended) }()
	defer c.stop()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		c.stop()
		<-ended
		return ctx.Err()
	}
}

// enter announces work that Close is to wait for; whoever gets true calls filling.Done. It is false once the cache is closed.
func (c *Cache) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.filling.Add(1)
	}
	return !c.closed
}

// background runs f on a goroutine that Close waits for. It reports false, and does nothing, once the cache is closed.
func (c *Cache) background(f func(ctx context.Context)) bool {
	if !c.enter() {
		return false
	}
	go func() {
		defer c.filling.Done()
		f(c.base)
	}()
	return true
}

// Flights is the number of fills under way.
func (c *Cache) Flights() int { return c.flights.Len() }

// Waiting is the number of requests that wait for the answer to another's call.
func (c *Cache) Waiting() int { return int(c.waiting.Load()) }
