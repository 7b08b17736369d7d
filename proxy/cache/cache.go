// Package cache connects the client's side and the origin's side: it looks up, asks cachepolicy,
// carries out the decision, stores and delivers.
//
// Decisions about reuse and storing belong to cachepolicy's Decide and Settle. This package knows
// neither routing nor configuration nor connections: a Resource carries the compiled route, and an
// origin is an http.RoundTripper. A request becomes a Reply, which names the response to deliver
// and the reason. Only then does the package write a byte.
//
// A fill fetches a response for the cache. It belongs to no client: it is a goroutine with a
// context of its own, and all waiting clients read its response while it grows. A fill waits for
// clients only in one case: if the body is too large to be stored, the fill waits for the body's
// readers.
//
// There are two tiers: the memory of the process and, if the operator configures it, a tier that
// all instances share ([tiers.Shared]). The shared tier is asked if the memory has no answer, and a
// response found there is copied into the memory. The instance that holds a lease fills for all
// instances, and the others take the response that it has shared. Without a lease or without the
// tier each instance goes to the origin by itself. A request spends no more time on the shared tier
// than its budget.
//
// Each lookup checks the stored response against the history of purges ([store.Epochs]). For this
// the response carries the epoch at which its fill began.
package cache

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/cache/tiers"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// Config holds the parts of a Cache.
type Config struct {
	Store  store.Store  // the tier within the process
	Shared tiers.Shared // the tier of all instances; nil: no such tier
	// SharedBudget bounds the time that one request may spend on Shared in all.
	SharedBudget time.Duration
	Epochs       *store.Epochs // the history of purges; nil: there are no purges
	// Applied returns the moment up to which this instance has applied all purges, including those
	// of other instances. nil: Epochs.Now.
	Applied func() store.Epoch
	// Used is called for one in UsedSample hits and counts for that many uses. nil: not called.
	Used       func(k cachepolicy.Key, uses int)
	UsedSample int
	// Filled is called after each fill. It must not keep the Event. nil: not called.
	Filled func(*observe.Event)
	Now    func() time.Time // the clock, read once per decision
	Random func() float64   // in [0,1), for jitter and early refresh
	Log    *slog.Logger
	Name   string // the name of the cache in Cache-Status (RFC 9211 §2)
	// WriteError writes an error response of the gateway itself. kind is an error type of RFC 9209,
	// or "".
	WriteError func(w http.ResponseWriter, r *http.Request, status int, kind, detail string)
	// Rewritten reports whether a request field reaches the cache in another form than the client
	// sent it. nil: no field does.
	Rewritten func(name string) bool
	// WithInterim returns a context for RoundTrip. With this context the origin's RoundTripper
	// passes interim responses to deliver. nil: interim responses are dropped.
	WithInterim func(ctx context.Context, deliver func(status int, h http.Header)) context.Context
}

// Cache answers requests from a store and fills the store from origins. It may be used
// concurrently, with any number of Resources.
type Cache struct {
	Now    func() time.Time     // the clock
	Filled func(*observe.Event) // called after each fill; may be nil
	random func() float64
	log    *slog.Logger
	name   string
	// applied returns the moment up to which this instance has applied all purges; nil: there are
	// no purges.
	applied    func() store.Epoch
	reportUse  func(k cachepolicy.Key, uses int)
	usedSample int
	rewritten  func(name string) bool

	tiers    *tiers.Tiers
	tasks    *fill.Tasks
	fills    *fill.Filler
	server   deliver.Server // writes the responses
	deriving sync.Map       // derivation → struct{}: codings in progress
	coders   chan struct{}  // holds one element for each coding in the background
}

// New returns a Cache. The caller must call Close to end its background work.
func New(cfg Config) *Cache {
	if cfg.WithInterim == nil {
		cfg.WithInterim = func(ctx context.Context, _ func(int, http.Header)) context.Context { return ctx }
	}
	if cfg.Applied == nil && cfg.Epochs != nil {
		cfg.Applied = cfg.Epochs.Now
	}
	c := &Cache{
		Now: cfg.Now, Filled: cfg.Filled, random: cfg.Random, log: cfg.Log, name: cfg.Name, applied: cfg.Applied, reportUse: cfg.Used, usedSample: cfg.UsedSample,
		rewritten: cfg.Rewritten, tasks: fill.NewTasks(), coders: make(chan struct{}, runtime.GOMAXPROCS(0)),
		server: deliver.Server{Name: cfg.Name, Now: cfg.Now, Log: cfg.Log, WriteError: cfg.WriteError},
		tiers: &tiers.Tiers{
			Store: cfg.Store, Shared: cfg.Shared, SharedBudget: cfg.SharedBudget, Epochs: cfg.Epochs, Now: cfg.Now, Random: cfg.Random, Log: cfg.Log,
		},
	}
	c.fills = fill.New(fill.Config{Now: cfg.Now, Random: cfg.Random, Log: cfg.Log, Filled: cfg.Filled, WithInterim: cfg.WithInterim, Tiers: c.tiers, Tasks: c.tasks})
	return c
}

// Close waits for fills and refreshes to end until ctx is done, then cancels the rest and waits for
// them. It ends upgraded connections at once. It returns ctx.Err() if it had to cancel.
func (c *Cache) Close(ctx context.Context) error {
	c.CloseTunnels()
	return c.tasks.Close(ctx)
}

// Flights returns the number of running fills.
func (c *Cache) Flights() int { return c.fills.Flights.Len() }

// Waiting returns the number of requests that wait for the answer to another request's call.
func (c *Cache) Waiting() int { return int(c.fills.Waiting.Load()) }

// LeaveTunnels sends a close frame with the status 1001 to both sides of each WebSocket, so that
// both sides can end the connection in order (RFC 6455 section 7.4.1).
func (c *Cache) LeaveTunnels() { c.server.Tunnels.Leave() }

// CloseTunnels ends all upgraded connections. New ones are refused afterwards.
func (c *Cache) CloseTunnels() { c.server.Tunnels.Close() }

// Drop removes all responses stored under k, and keeps pending fills from storing theirs there.
func (c *Cache) Drop(ctx context.Context, k cachepolicy.Key) { c.tiers.Drop(ctx, k) }
