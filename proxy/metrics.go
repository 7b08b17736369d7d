package proxy

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/penstock/penstock/proxy/cost"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/observe/prom"
)

// AddMetrics adds a source that is read with the gateway's own metrics. Callers use it for metrics
// of other packages.
func (g *Gateway) AddMetrics(source observe.Source) {
	g.metricsMu.Lock()
	defer g.metricsMu.Unlock()
	g.sources = append(g.sources, source)
}

// Metrics reads all metrics.
func (g *Gateway) Metrics() []observe.Family {
	g.metricsMu.Lock()
	sources := append([]observe.Source{g.meter, g.fills, g.refused, g.live, observe.SourceFunc(g.ownMetrics)}, g.sources...)
	g.metricsMu.Unlock()
	return observe.Gather(sources...)
}

// scrapes serves /metrics, if the configuration asks for it.
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

// ownMetrics adds the metrics of the process.
func (g *Gateway) ownMetrics(add func(observe.Family)) {
	add(observe.One(observe.Gauge, "penstock_build_info", "Always 1; the labels are the versions of the gateway and of Go.", 1, "version", g.options.Version, "go_version", runtime.Version()))
	add(observe.One(observe.Gauge, "penstock_ready", "1 if the gateway is ready for requests, 0 if not.", truth(g.ready.Load())))
	add(observe.One(observe.Gauge, "penstock_start_time_seconds", "Unix time at which the gateway was started.", float64(g.started.UnixMilli())/1e3))
	add(observe.One(observe.Gauge, "penstock_goroutines", "Running goroutines.", float64(runtime.NumGoroutine())))
	add(observe.One(observe.Gauge, "penstock_requests_waiting", "Requests that wait for the response to another request's call.", float64(g.Waiting())))
	add(observe.One(observe.Gauge, "penstock_fills_running", "Running calls to upstreams that fill the cache.", float64(g.live.cache.Flights())))
	g.queueMetrics(add)
	g.costMetrics(add)
}

// queueTime bounds the reading of the queue's figures, because the queue may be in Redis.
const queueTime = time.Second

// queueMetrics adds the metrics of queued writes. It adds only the metric of the queue's state if
// the queue can't be read, and nothing if there is no queue.
func (g *Gateway) queueMetrics(add func(observe.Family)) {
	problem, is := g.queueProblem()
	if !is {
		return
	}
	add(observe.One(observe.Gauge, "penstock_writes_accepted", "1 if queued writes are accepted, 0 while the file or the Redis of the queue can't keep them.", truth(problem == nil)))
	ctx, cancel := context.WithTimeout(context.Background(), queueTime)
	defer cancel()
	stats, err := g.snapshot.Load().writes.Stats(ctx)
	if err != nil {
		return
	}
	add(observe.One(observe.Gauge, "penstock_writes_pending", "Accepted writes that are not applied yet.", float64(stats.Pending)))
	add(observe.One(observe.Gauge, "penstock_writes_oldest_seconds", "Age of the oldest accepted write that is not applied yet.", stats.Oldest.Seconds()))
	add(observe.One(observe.Gauge, "penstock_writes_dead", "Writes that could not be applied and are kept as dead letters; penstock writes lists them.", float64(stats.Dead)))
	add(observe.One(observe.Counter, "penstock_writes_lost_total", "Acknowledged writes that this instance found to be lost without having been applied.", float64(stats.Lost)))
}

// costMetrics adds the metrics of this month's account, if there is one.
func (g *Gateway) costMetrics(add func(observe.Family)) {
	r := g.Cost()
	if !r.Configured {
		return
	}
	add(observe.One(observe.Gauge, "penstock_cost_kept", "1 if the account of costs is stored, 0 while its file or Redis can't be used and it is only in memory.", truth(r.Kept.Problem == "")))
	for _, m := range []struct {
		name, help string
		money      cost.Money
	}{
		{"penstock_cost_spent", "Money spent this month (UTC), in the configured currency.", r.Total.Spent},
		{"penstock_cost_saved", "Money saved this month (UTC), in the configured currency.", r.Total.Saved},
	} {
		add(observe.One(observe.Gauge, m.name, m.help, float64(m.money.Micros)/1e6, "currency", r.Currency))
	}
	if r.Budget != nil {
		add(observe.One(observe.Gauge, "penstock_cost_budget_used_ratio", "Share of the month's budget that is spent, from 0 to 1 and above.", r.Budget.UsedShare))
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Metrics adds the metrics of the state that outlives a Snapshot.
func (l *live) Metrics(add func(observe.Family)) {
	l.memoryMetrics(add)
	l.poolMetrics(add)
	l.counted.Metrics(add)
	l.fleetMetrics(add)
}

func (l *live) memoryMetrics(add func(observe.Family)) {
	s, tier := l.fleet.Memory.Stats(), []string{"tier", "memory"}
	add(observe.One(observe.Gauge, "penstock_cache_objects", "Stored objects.", float64(s.Objects), tier...))
	add(observe.One(observe.Gauge, "penstock_cache_bytes", "Bytes used by stored objects.", float64(s.Bytes), tier...))
	add(observe.One(observe.Gauge, "penstock_cache_limit_bytes", "Limit of the bytes used by stored objects.", float64(l.size.Size), tier...))
	add(observe.Family{Name: "penstock_cache_lookups_total", Help: "Lookups, by whether an object was found under the key.", Kind: observe.Counter, Points: []observe.Point{
		{Labels: observe.Labels("tier", "memory", "result", "found"), Value: float64(s.Hits)},
		{Labels: observe.Labels("tier", "memory", "result", "absent"), Value: float64(s.Misses)},
	}})
	add(observe.One(observe.Counter, "penstock_cache_admissions_total", "Objects that were admitted to the main part of the store.", float64(s.Admitted), tier...))
	add(observe.One(observe.Counter, "penstock_cache_rejections_total", "Objects that were not admitted, because the objects that they would displace are used more.", float64(s.Rejected), tier...))
	add(observe.One(observe.Counter, "penstock_cache_evictions_total", "Objects that were removed to make room for others.", float64(s.Evicted), tier...))
	add(observe.One(observe.Counter, "penstock_cache_expirations_total", "Objects that were removed because they could answer no request any more.", float64(s.Expired), tier...))
}

// poolFamilies are the metrics of the targets of upstreams.
var poolFamilies = []struct {
	kind       observe.Kind
	name, help string
	of         func(*targetFigures) float64
}{
	{observe.Gauge, "penstock_upstream_connections_open", "Open connections to a target.", func(t *targetFigures) float64 { return float64(t.Open) }},
	{observe.Gauge, "penstock_upstream_connections_idle", "Open connections to a target that carry no call.", func(t *targetFigures) float64 { return float64(t.Idle) }},
	{observe.Gauge, "penstock_upstream_requests_running", "Running calls to a target.", func(t *targetFigures) float64 { return float64(t.InFlight) }},
	{observe.Gauge, "penstock_upstream_requests_waiting", "Calls that wait for a connection to a target.", func(t *targetFigures) float64 { return float64(t.Waiting) }},
	{observe.Gauge, "penstock_upstream_requests_beside_max", "Running calls to a target that count in pool.upgraded and not in pool.max: upgraded connections, streams, and calls that wait for their clients.", func(t *targetFigures) float64 { return float64(t.Beside) }},
	{observe.Counter, "penstock_upstream_tries_total", "Attempts to call a target.", func(t *targetFigures) float64 { return float64(t.Tries) }},
	{observe.Counter, "penstock_upstream_failures_total", "Attempts to call a target that led to no response.", func(t *targetFigures) float64 { return float64(t.Failures) }},
	{observe.Counter, "penstock_upstream_no_files_total", "Attempts to call a target that failed because the gateway had no open files left (ulimit -n). They do not count as failures of the target.", func(t *targetFigures) float64 { return float64(t.Unopened) }},
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

// fleetMetrics adds the metrics of the tier that instances share, if there is one.
func (l *live) fleetMetrics(add func(observe.Family)) {
	f, ok := l.fleet.State()
	if !ok {
		return
	}
	add(observe.One(observe.Gauge, "penstock_redis_up", "1 if Redis answers, 0 while it does not and requests are handled without it.", truth(f.Up)))
	add(observe.One(observe.Gauge, "penstock_redis_state_change_time_seconds", "Unix time at which Redis last began or ceased to answer.", float64(f.Since.UnixMilli())/1e3))
	add(observe.One(observe.Gauge, "penstock_redis_purges_current", "1 if this instance knows all purges of the other instances, 0 if not.", truth(f.Current)))
	add(observe.One(observe.Gauge, "penstock_redis_purges_change_time_seconds", "Unix time at which the connection to the history of purges last began or broke.", float64(f.CurrentSince.UnixMilli())/1e3))
	add(observe.One(observe.Gauge, "penstock_redis_memory_doubted", "1 while this instance validates stored responses before each use, because it may have missed purges for longer than max_cut_off; 0 if not.", truth(f.Doubted)))
}
