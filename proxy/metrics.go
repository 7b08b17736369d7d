package proxy

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/penstock/penstock/proxy/cost"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/observe/prom"
	"github.com/penstock/penstock/proxy/store/shared"
)

// AddMetrics has source read with the gateway's own metrics. It is for whoever has something to tell that is not this package's.
func (g *Gateway) AddMetrics(source observe.Source) {
	g.metricsMu.Lock()
	defer g.metricsMu.Unlock()
	g.sources = append(g.sources, source)
}

// Metrics reads all metrics.
func (g *Gateway) Metrics() []observe.Family {
	g.metricsMu.Lock()
	sources := append([]observe.Source{g.meter, g.fills, g.live, observe.SourceFunc(g.ownMetrics)}, g.sources...)
	g.metricsMu.Unlock()
	return observe.Gather(sources...)
}

// scrapes serves /metrics, where the configuration asks for it.
func (g *Gateway) scrapes() http.Handler {
	handler := prom.Handler(g.Metrics)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.snapshot.Load().prometheus {
			http.NotFound(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// ownMetrics are those of the process.
func (g *Gateway) ownMetrics(add func(observe.Family)) {
	add(observe.One(observe.Gauge, "penstock_build_info", "What runs; 1.", 1, "version", g.options.Version, "go_version", runtime.Version()))
	add(observe.One(observe.Gauge, "penstock_ready", "Whether the gateway takes traffic.", truth(g.ready.Load())))
	add(observe.One(observe.Gauge, "penstock_start_time_seconds", "When the gateway was started, since 1970.", float64(g.started.UnixMilli())/1e3))
	add(observe.One(observe.Gauge, "penstock_goroutines", "Goroutines that there are.", float64(runtime.NumGoroutine())))
	add(observe.One(observe.Gauge, "penstock_requests_waiting", "Requests that wait for the answer to another's call.", float64(g.Waiting())))
	add(observe.One(observe.Gauge, "penstock_fills_running", "Calls under way that fill the cache.", float64(g.live.cache.Flights())))
	g.queueMetrics(add)
	g.costMetrics(add)
}

// queueTime is how long reading the figures of the queue may take: it may be in Redis.
const queueTime = time.Second

// queueMetrics are those of writes that wait; none where there is no queue, or it can't be asked.
func (g *Gateway) queueMetrics(add func(observe.Family)) {
	ctx, cancel := context.WithTimeout(context.Background(), queueTime)
	defer cancel()
	pending, oldest, dead, ok := g.QueuedWrites(ctx)
	if !ok {
		return
	}
	add(observe.One(observe.Gauge, "penstock_writes_pending", "Writes that were accepted and are yet to be applied.", float64(pending)))
	add(observe.One(observe.Gauge, "penstock_writes_oldest_seconds", "How long the oldest of them has waited.", oldest.Seconds()))
	add(observe.One(observe.Gauge, "penstock_writes_dead", "Writes that could not be applied, and are kept for penstock writes.", float64(dead)))
}

// costMetrics are those of the account of this month; none where there is none.
func (g *Gateway) costMetrics(add func(observe.Family)) {
	r := g.Cost()
	if !r.Configured {
		return
	}
	for _, m := range []struct {
		name, help string
		money      cost.Money
	}{
		{"penstock_cost_spent", "Money spent this month (UTC), in the configured currency.", r.Total.Spent},
		{"penstock_cost_saved", "Money spared this month (UTC), in the configured currency.", r.Total.Saved},
	} {
		add(observe.One(observe.Gauge, m.name, m.help, float64(m.money.Micros)/1e6, "currency", r.Currency))
	}
	if r.Budget != nil {
		add(observe.One(observe.Gauge, "penstock_cost_budget_used_ratio", "Share of the month's budget that is spent.", r.Budget.UsedShare))
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Metrics are those of what outlives a Snapshot.
func (l *live) Metrics(add func(observe.Family)) {
	l.memoryMetrics(add)
	l.poolMetrics(add)
	l.counted.Metrics(add)
	if l.fleet != nil {
		l.fleet.Metrics(add)
	}
}

func (l *live) memoryMetrics(add func(observe.Family)) {
	s, tier := l.memory.Stats(), []string{"tier", "memory"}
	add(observe.One(observe.Gauge, "penstock_cache_objects", "Objects that are stored.", float64(s.Objects), tier...))
	add(observe.One(observe.Gauge, "penstock_cache_bytes", "Bytes that stored objects take.", float64(s.Bytes), tier...))
	add(observe.One(observe.Gauge, "penstock_cache_limit_bytes", "Bytes that stored objects may take.", float64(l.size.Size), tier...))
	add(observe.Family{Name: "penstock_cache_lookups_total", Help: "Lookups by whether something was found under the key.", Kind: observe.Counter, Points: []observe.Point{
		{Labels: observe.Labels("tier", "memory", "result", "found"), Value: float64(s.Hits)},
		{Labels: observe.Labels("tier", "memory", "result", "absent"), Value: float64(s.Misses)},
	}})
	add(observe.One(observe.Counter, "penstock_cache_admissions_total", "Objects that were taken into the main part of the store.", float64(s.Admitted), tier...))
	add(observe.One(observe.Counter, "penstock_cache_rejections_total", "Objects that were refused there, for what they would displace is used more.", float64(s.Rejected), tier...))
	add(observe.One(observe.Counter, "penstock_cache_evictions_total", "Objects that made room for others.", float64(s.Evicted), tier...))
	add(observe.One(observe.Counter, "penstock_cache_expirations_total", "Objects that were past all use.", float64(s.Expired), tier...))
}

// poolFamilies are what is told of the targets of upstreams.
var poolFamilies = []struct {
	kind       observe.Kind
	name, help string
	of         func(*targetFigures) float64
}{
	{observe.Gauge, "penstock_upstream_connections_open", "Open connections to a target.", func(t *targetFigures) float64 { return float64(t.Open) }},
	{observe.Gauge, "penstock_upstream_connections_idle", "Open connections to a target beyond the calls under way.", func(t *targetFigures) float64 { return float64(t.Idle) }},
	{observe.Gauge, "penstock_upstream_requests_running", "Calls to a target under way.", func(t *targetFigures) float64 { return float64(t.InFlight) }},
	{observe.Gauge, "penstock_upstream_requests_waiting", "Calls that wait for a connection to a target.", func(t *targetFigures) float64 { return float64(t.Waiting) }},
	{observe.Counter, "penstock_upstream_tries_total", "Tries of calls to a target.", func(t *targetFigures) float64 { return float64(t.Tries) }},
	{observe.Counter, "penstock_upstream_failures_total", "Tries of calls to a target that came to no response.", func(t *targetFigures) float64 { return float64(t.Failures) }},
}

func (l *live) poolMetrics(add func(observe.Family)) {
	targets := l.targets()
	for _, f := range poolFamilies {
		family := observe.Family{Name: f.name, Help: f.help, Kind: f.kind}
		for i := range targets {
			t := &targets[i]
			family.Points = append(family.Points, observe.Point{Labels: observe.Labels("upstream", t.upstream, "target", t.Target), Value: f.of(t)})
		}
		add(family)
	}
}

// Metrics are those of the tier that instances share.
func (f *fleet) Metrics(add func(observe.Family)) {
	health := f.Health()
	add(observe.One(observe.Gauge, "penstock_redis_up", "Whether Redis is used: 0 while it does not answer, and requests go on without it.", truth(health.State == shared.Up)))
	add(observe.One(observe.Gauge, "penstock_redis_state_change_time_seconds", "When that last changed, since 1970.", float64(health.Since.UnixMilli())/1e3))
	add(observe.One(observe.Gauge, "penstock_redis_purges_current", "Whether all purges of the other instances are known here.", truth(f.purges.Current())))
}
