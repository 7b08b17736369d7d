package proxy

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/explain"
	"github.com/penstock/penstock/proxy/figures"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/snapshot"
)

// Name is the gateway's name in Via, Cache-Status and Proxy-Status.
const Name = "penstock"

// Options are the settings of a Gateway beyond its configuration. The zero value is usable.
type Options struct {
	Log     *slog.Logger     // defaults to slog.Default
	Version string           // for the admin API
	Sink    observe.Sink     // gets every finished request; may be nil
	Now     func() time.Time // defaults to time.Now
	Sampler observe.Sampler  // chooses the hits of connections that are traced; defaults to Tracer
	Tracer  *observe.Tracer  // makes spans; nil if there are no spans

	clock func() time.Time // Now as the caller gave it
	dry   bool             // see live
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.clock = o.Now; o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Gateway answers requests by its current configuration. It may be used concurrently.
type Gateway struct {
	*snapshot.Server
	options    Options
	live       *live
	figures    *figures.Figures
	accounting accounting
	snapshot   atomic.Pointer[snapshot.Snapshot]
	ready      atomic.Bool
	applying   sync.Mutex
	closed     bool // guarded by applying
}

// New returns a Gateway that runs cfg, or an error if cfg can't be run. SetReady makes it ready.
// Close ends it.
func New(cfg *config.Config, o Options) (*Gateway, error) {
	o = o.withDefaults()
	counted := figures.New(cfg.Cache.Memory.Size, o.Now)
	o.Sink = counted.Sink(tracing(o.Tracer), o.Sink)
	if o.Sampler == nil && o.Tracer != nil {
		o.Sampler = o.Tracer
	}
	l, err := newLive(cfg, o, rand.Float64)
	if err != nil {
		return nil, err
	}
	g := &Gateway{options: o, live: l, figures: counted}
	started := o.Now()
	g.Server = snapshot.NewServer(&g.snapshot, snapshot.Options{Log: o.Log, Now: o.Now, Clock: o.clock, Sink: o.Sink, Sampler: o.Sampler})
	l.dry, l.applyWrite, l.tried = o.dry, g.applyWrite, g.tried
	if err := g.Apply(cfg); err != nil {
		l.close(context.Background())
		return nil, err
	}
	counted.Watch(figures.Watched{
		Version: o.Version, Started: started, Now: o.Now, Ready: g.ready.Load,
		Cache: l.cache, Fleet: l.fleet, Pools: l.pools, Built: l.built, Writes: g.writes, Cost: g.Cost,
	})
	return g, nil
}

// Apply makes g run cfg. It compiles all of cfg before it changes anything. If it returns an error,
// the old configuration stays in force. Requests in flight keep the configuration with which they
// began. Upstreams that did not change keep their connections, and stored responses stay.
func (g *Gateway) Apply(cfg *config.Config) error {
	g.applying.Lock()
	defer g.applying.Unlock()
	if g.closed {
		return errors.New("the gateway is closed")
	}
	next, err := g.live.prepare(cfg)
	if err != nil {
		return err
	}
	compiled, err := next.compile(cfg)
	if err != nil {
		next.discard()
		return err
	}
	g.figures.Declare(cfg)
	g.snapshot.Store(compiled)
	next.commit()
	g.account(cfg.Cost)
	return nil
}

// tracing returns t as a Sink, or nil if t is nil.
func tracing(t *observe.Tracer) observe.Sink {
	if t == nil {
		return nil
	}
	return t
}

// Explain tells how the running configuration handles a request. It changes nothing, and asks the
// origin only if the question says so.
func (g *Gateway) Explain(ctx context.Context, ask explain.Question) (*explain.Explanation, error) {
	return explain.Explain(ctx, g.snapshot.Load().Subject(), ask)
}

// Preload waits, for a second at most, until the cache that instances share answers. If the
// configuration asks for it, Preload also loads the objects that the fleet uses most into memory.
// It returns when that is done or ctx ends.
func (g *Gateway) Preload(ctx context.Context) { g.live.fleet.Preload(ctx) }

// SetReady sets whether /readyz answers 200.
func (g *Gateway) SetReady(ready bool) { g.ready.Store(ready) }

// Waiting returns the number of requests that wait for the response to another request's call.
func (g *Gateway) Waiting() int { return g.live.cache.Waiting() }

// Filling returns the number of calls under way that fill the cache. A call may continue for a
// moment after its client has received the whole response.
func (g *Gateway) Filling() int { return g.live.cache.Flights() }

// LeaveUpgraded tells both sides of each WebSocket that the gateway goes away, so that they end it
// by themselves.
func (g *Gateway) LeaveUpgraded() { g.live.cache.LeaveTunnels() }

// CloseUpgraded ends all upgraded connections, which net/http's shutdown does not track.
func (g *Gateway) CloseUpgraded() { g.live.cache.CloseTunnels() }

// Close ends background work and connections. It waits for work under way until ctx is done.
// Requests must have ended before.
func (g *Gateway) Close(ctx context.Context) error {
	g.applying.Lock()
	defer g.applying.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	g.figures.Close()
	if a := g.accounting.running.Load(); a != nil {
		g.closeAccount(a)
	}
	return g.live.close(ctx)
}
