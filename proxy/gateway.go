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
	"github.com/penstock/penstock/proxy/explain"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/wire"
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
	options    Options
	live       *live
	meter      *observe.Meter
	fills      *observe.Fills
	refused    *observe.Refusals
	evidence   *advice.Collector
	started    time.Time
	board      *board.Board
	accounting accounting
	reachable  reachability
	snapshot   atomic.Pointer[Snapshot]
	ready      atomic.Bool
	applying   sync.Mutex
	closed     bool // guarded by applying

	metricsMu sync.Mutex
	sources   []observe.Source // guarded by metricsMu
}

// New returns a Gateway that runs cfg, or an error if cfg can't be run. SetReady makes it ready.
// Close ends it.
func New(cfg *config.Config, o Options) (*Gateway, error) {
	o = o.withDefaults()
	meter, fills, refused, evidence := observe.NewMeter(), new(observe.Fills), new(observe.Refusals), advice.NewCollector(cfg.Cache.Memory.Size)
	slow := board.NewSlow(o.Now)
	o.Sink = observe.Tee(meter, slow, fills, refused, evidence, tracing(o.Tracer), o.Sink)
	if o.Sampler == nil && o.Tracer != nil {
		o.Sampler = o.Tracer
	}
	l, err := newLive(cfg, o, rand.Float64)
	if err != nil {
		return nil, err
	}
	g := &Gateway{options: o, live: l, meter: meter, fills: fills, refused: refused, evidence: evidence, started: o.Now()}
	l.dry, l.applyWrite, l.tried = o.dry, g.applyWrite, g.tried
	if err := g.Apply(cfg); err != nil {
		l.close(context.Background())
		return nil, err
	}
	g.board = g.newBoard(slow)
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

// tracing returns t as a Sink, or nil if t is nil.
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
	s, handed := g.snapshot.Load(), wire.HandedOver(r.Context())
	ctx, ev := edge.Begin(r.Context(), s.own(handed))
	ev.Start, ev.Method, ev.RawHost, ev.RawTarget, ev.Chance = g.options.Now(), r.Method, r.Host, r.RequestURI, handed.Chance
	r = r.WithContext(ctx)
	defer g.finish(w, r, ev)
	s.ServeHTTP(w, r)
}

// finish is the one place that recovers a handler's panic. http.ErrAbortHandler is how a handler
// breaks a response off, so finish passes it on to net/http. Any other panic is a defect, which
// fails this request alone.
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

// Explain tells how the running configuration handles a request. It changes nothing, and asks the
// origin only if the question says so.
func (g *Gateway) Explain(ctx context.Context, ask explain.Question) (*explain.Explanation, error) {
	return explain.Explain(ctx, g.snapshot.Load().subject(), ask)
}

// Preload waits, for a second at most, until the cache that instances share answers. If the
// configuration asks for it, Preload also loads the objects that the fleet uses most into memory.
// It returns when that is done or ctx ends.
func (g *Gateway) Preload(ctx context.Context) { g.live.fleet.Preload(ctx) }

// Meter returns the counter of all requests. It continues over reloads.
func (g *Gateway) Meter() *observe.Meter { return g.meter }

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
	g.board.Close()
	if a := g.accounting.running.Load(); a != nil {
		g.closeAccount(a)
	}
	return g.live.close(ctx)
}
