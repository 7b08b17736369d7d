package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/advice"
	"github.com/penstock/penstock/proxy/board"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/wire"
)

// Name is how the gateway calls itself in Via, Cache-Status and Proxy-Status.
const Name = "penstock"

// Options are what a Gateway needs beside its configuration. The zero value is usable.
type Options struct {
	Log     *slog.Logger     // nil: slog.Default
	Version string           // for the admin API
	Sink    observe.Sink     // is told of every finished request; may be nil
	Now     func() time.Time // nil: time.Now
	Sampler observe.Sampler  // says which hits that a connection answers are to be traced; nil: Tracer, if there is one
	Tracer  *observe.Tracer  // makes spans; nil: there are none

	clock func() time.Time // Now as it was given
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
	options    Options
	live       *live
	meter      *observe.Meter
	fills      *observe.Fills
	evidence   *advice.Collector
	started    time.Time
	board      *board.Board
	accounting accounting
	snapshot   atomic.Pointer[Snapshot]
	ready      atomic.Bool
	applying   sync.Mutex
	closed     bool // guarded by applying

	metricsMu sync.Mutex
	sources   []observe.Source // guarded by metricsMu
}

// New returns a Gateway that runs cfg, or why cfg can't be run. It becomes ready by SetReady. Close ends it.
func New(cfg *config.Config, o Options) (*Gateway, error) {
	o = o.withDefaults()
	meter, fills, evidence := observe.NewMeter(), new(observe.Fills), advice.NewCollector(cfg.Cache.Memory.Size)
	slow := board.NewSlow(o.Now)
	o.Sink = observe.Tee(meter, slow, fills, evidence, tracing(o.Tracer), o.Sink)
	if o.Sampler == nil && o.Tracer != nil {
		o.Sampler = o.Tracer
	}
	l, err := newLive(cfg, o, rand.Float64)
	if err != nil {
		return nil, err
	}
	g := &Gateway{options: o, live: l, meter: meter, fills: fills, evidence: evidence, started: o.Now()}
	l.dry, l.applyWrite, l.tried = o.dry, g.applyWrite, g.tried
	if err := g.Apply(cfg); err != nil {
		l.close(context.Background())
		return nil, err
	}
	g.board = g.newBoard(slow)
	return g, nil
}

// Apply makes g run cfg. It is compiled whole before anything changes: on an error the old configuration goes on. Requests in flight keep
// the one that they began with; upstreams that did not change keep their connections, and what is stored stays.
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
	snapshot, err := compile(cfg, next, g)
	if err != nil {
		next.discard()
		return err
	}
	g.meter.Declare(routeNames(cfg)...)
	g.evidence.Declare(advisedRoutes(cfg))
	g.snapshot.Store(snapshot)
	next.commit()
	g.account(cfg.Cost)
	return nil
}

// tracing is t as a Sink; nil where there is none.
func tracing(t *observe.Tracer) observe.Sink {
	if t == nil {
		return nil
	}
	return t
}

func routeNames(cfg *config.Config) []string {
	var names []string
	for _, r := range cfg.Routes {
		names = append(names, r.Name)
		if r.Aggregate == nil {
			continue
		}
		for part := range r.Aggregate.Parts {
			names = append(names, partName(r, part))
		}
	}
	return names
}

// ServeHTTP answers r.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, ev := observe.Begin(r.Context())
	ev.Start, ev.Method, ev.RawHost, ev.RawTarget = g.options.Now(), r.Method, r.Host, r.RequestURI
	ev.Chance = wire.HandedOver(r.Context()).Chance
	r = r.WithContext(ctx)
	defer g.finish(w, r, ev)
	g.snapshot.Load().ServeHTTP(w, r)
}

// finish is the one place where a panic of a handler ends. http.ErrAbortHandler is how a handler breaks a response off, and goes on to
// net/http; anything else is a defect, which costs this request alone.
func (g *Gateway) finish(w http.ResponseWriter, r *http.Request, ev *observe.Event) {
	p := recover()
	if p != nil && p != http.ErrAbortHandler {
		g.options.Log.Error("answering a request panicked", "route", ev.Route, "method", r.Method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		if ev.Status == 0 {
			edge.WriteError(w, r, http.StatusInternalServerError, "proxy_internal_error", "")
			p = nil
		} else {
			p = http.ErrAbortHandler
		}
	}
	if ev.Took == 0 {
		ev.Took = g.options.Now().Sub(ev.Start)
	}
	g.options.Sink.Finish(ev, r)
	if p != nil {
		panic(p)
	}
}

// Preload waits, a second at most, until the cache that instances share answers. Where the configuration asks for it, it takes what they use most into
// memory, and returns when that is done, or ctx.
func (g *Gateway) Preload(ctx context.Context) { g.live.preload(ctx) }

// Meter is what counts all requests. It goes on over reloads.
func (g *Gateway) Meter() *observe.Meter { return g.meter }

// SetReady says whether /readyz is to answer 200.
func (g *Gateway) SetReady(ready bool) { g.ready.Store(ready) }

// Waiting is the number of requests that wait for the answer to another's call.
func (g *Gateway) Waiting() int { return g.live.cache.Waiting() }

// Filling is the number of calls under way that fill the cache. One may go on for a moment after the client that it was made for has its whole answer.
func (g *Gateway) Filling() int { return g.live.cache.Flights() }

// CloseUpgraded ends all upgraded connections, which net/http's own shutdown does not know of.
func (g *Gateway) CloseUpgraded() { g.live.cache.CloseTunnels() }

// Close ends background work and connections. Work under way is waited for until ctx is done. Requests must have ended before.
func (g *Gateway) Close(ctx context.Context) error {
	g.applying.Lock()
	defer g.applying.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	g.board.Close()
	if a := g.accounting.running.Load(); a != nil {
		g.closeAccount(a)
	}
	return g.live.close(ctx)
}
