// Package build compiles a configuration into the Snapshot that answers requests by it.
//
// A builder takes two steps. The first compiles each route: its rules, its origin, and the stages
// before the cache. The second links the routes: a write on one route makes responses of others
// stale, so it needs the router of all. No request sees a Snapshot before both steps are done.
//
// This is the only package that knows both the words of config and the types to which the routes
// are compiled.
package build

import (
	"context"
	"log/slog"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/edge/addresses"
	"github.com/penstock/penstock/proxy/edge/auth"
	"github.com/penstock/penstock/proxy/edge/files"
	"github.com/penstock/penstock/proxy/edge/rate"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/pools"
	"github.com/penstock/penstock/proxy/snapshot"
	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/upstream"
	"github.com/penstock/penstock/proxy/write"
)

// Config holds the parts of a State.
type Config struct {
	Name  string // of the gateway, in Cache-Status (RFC 9211)
	Cache *cache.Cache
	// Publish purges the targets that a write has changed, on all instances. It returns the moment
	// of the purge, or the zero Epoch if the moment is not known.
	Publish func(context.Context, []store.Target) store.Epoch
	// TakeRate charges a client of all instances for a request, if a rate limit accepts it. It
	// returns the time until the next one is accepted, and an error if Redis does not answer.
	TakeRate func(ctx context.Context, client string, every time.Duration, burst int) (ok bool, wait time.Duration, err error)
	Tracer   *observe.Tracer
	Log      *slog.Logger
}

// State is what the routes of all configurations share and what outlives each of them: the cache,
// the counts of combined calls, the pages that are fetched ahead, and the counts of rate limits.
type State struct {
	name     string
	cache    *cache.Cache
	publish  func(context.Context, []store.Target) store.Epoch
	takeRate func(context.Context, string, time.Duration, int) (bool, time.Duration, error)
	tracer   *observe.Tracer
	log      *slog.Logger
	counts   counts
	prefetch *prefetcher
	rates    map[rateCells]*rate.Table
	lists    *files.Watcher[addresses.Set] // of the files of addresses that routes name
	keys     *files.Watcher[auth.Keys]     // of the files of API keys that routes name
	// providers have the keys for the tokens that routes accept.
	providers *auth.Providers
}

// NewState returns a State without counts. Close ends its goroutines.
func NewState(c Config) *State {
	return &State{
		name: c.Name, cache: c.Cache, publish: c.Publish, takeRate: c.TakeRate, tracer: c.Tracer, log: c.Log, prefetch: newPrefetcher(c.Cache.Now),
		lists: addresses.NewWatcher(c.Log), keys: auth.NewKeyWatcher(c.Log),
		providers: auth.NewProviders(func(url string) *auth.JWKS { return auth.NewJWKS(url, auth.NewKeyClient(), c.Cache.Now, c.Log) }),
	}
}

// NewCache returns the cache of c that speaks to clients as package edge does, and to origins as
// package upstream does.
func NewCache(c cache.Config) *cache.Cache {
	c.WriteError, c.WithInterim, c.Rewritten = edge.WriteError, upstream.WithInterim, edge.Rewrites
	return cache.New(c)
}

// Metrics adds the counts of combined calls and of rate limits.
func (s *State) Metrics(add func(observe.Family)) { s.counts.Metrics(add) }

// Close cancels the fetches of pages, waits for them, and ends the watch over files and providers.
func (s *State) Close() {
	s.prefetch.close()
	s.lists.Close()
	s.keys.Close()
	s.providers.Close()
}

// Resources are what the running configuration opens for its routes.
type Resources struct {
	Pools  map[string]*pools.Pool // by the names of the upstreams
	Writes write.Store            // of writes that are applied later; nil if there is no queue
}

// Snapshot compiles cfg. The caller calls adopt once the Snapshot is in force: from then on the
// files of addresses and of keys that cfg names are read again when they change, and the next Snapshot goes on
// with the counts of this one's rate limits. The caller makes no two of these calls at a time.
func (s *State) Snapshot(cfg *config.Config, with Resources) (compiled *snapshot.Snapshot, adopt func(), err error) {
	b := &builder{
		State: s, Resources: with, cfg: cfg, named: namedOverrides(cfg), memo: s.cache.NewHitIndex(cfg.Cache.Memory.Size / memoShare),
		batches: make(map[string]*batchRoute), files: make(map[string]*files.File[addresses.Set]),
		keys: make(map[string]*files.File[auth.Keys]), sets: make(map[string]*auth.JWKS), rates: make(map[rateCells]*rate.Table),
	}
	routes, err := b.routes()
	if err != nil {
		return nil, nil, err
	}
	compiled, err = b.link(routes)
	return compiled, func() {
		s.lists.Watch(b.files)
		s.keys.Watch(b.keys)
		s.providers.Adopt(b.sets)
		s.rates = b.rates
	}, err
}
