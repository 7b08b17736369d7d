package figures

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/penstock/penstock/proxy/cost"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/observe/prom"
	"github.com/penstock/penstock/proxy/pools"
	"github.com/penstock/penstock/proxy/write"
)

// Add adds a source that is read with the gateway's own metrics.
func (f *Figures) Add(source observe.Source) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.further = append(f.further, source)
}

// Metrics reads all metrics.
func (f *Figures) Metrics() []observe.Family {
	f.mu.Lock()
	sources := append([]observe.Source{f.meter, f.fills, f.refused, observe.SourceFunc(f.stateMetrics), observe.SourceFunc(f.ownMetrics)}, f.further...)
	f.mu.Unlock()
	return observe.Gather(sources...)
}

// Scrapes serves /metrics, if the configuration asks for it.
func (f *Figures) Scrapes() http.Handler {
	handler := prom.Handler(f.Metrics)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f.scraped.Load() {
			http.NotFound(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// ownMetrics adds the metrics of the process.
func (f *Figures) ownMetrics(add func(observe.Family)) {
	add(observe.One(observe.Gauge, "penstock_build_info", "Always 1; the labels are the versions of the gateway and of Go.", 1, "version", f.watched.Version, "go_version", runtime.Version()))
	add(observe.One(observe.Gauge, "penstock_ready", "1 if the gateway is ready for requests, 0 if not.", truth(f.watched.Ready())))
	add(observe.One(observe.Gauge, "penstock_start_time_seconds", "Unix time at which the gateway was started.", float64(f.watched.Started.UnixMilli())/1e3))
	add(observe.One(observe.Gauge, "penstock_goroutines", "Running goroutines.", float64(runtime.NumGoroutine())))
	add(observe.One(observe.Gauge, "penstock_requests_waiting", "Requests that wait for the response to another request's call.", float64(f.watched.Cache.Waiting())))
	add(observe.One(observe.Gauge, "penstock_fills_running", "Running calls to upstreams that fill the cache.", float64(f.watched.Cache.Flights())))
	f.queueMetrics(add)
	f.costMetrics(add)
}

// queueTime bounds the reading of the queue's figures, because the queue may be in Redis.
const queueTime = time.Second

// queueMetrics adds the metrics of queued writes. It adds only the metric of the queue's state if
// the queue can't be read, and nothing if there is no queue.
func (f *Figures) queueMetrics(add func(observe.Family)) {
	queue := f.watched.Writes()
	if queue == nil {
		return
	}
	problem := write.Problem(queue)
	add(observe.One(observe.Gauge, "penstock_writes_accepted", "1 if queued writes are accepted, 0 while the file or the Redis of the queue can't keep them.", truth(problem == nil)))
	ctx, cancel := context.WithTimeout(context.Background(), queueTime)
	defer cancel()
	stats, err := queue.Stats(ctx)
	if err != nil {
		return
	}
	add(observe.One(observe.Gauge, "penstock_writes_pending", "Accepted writes that are not applied yet.", float64(stats.Pending)))
	add(observe.One(observe.Gauge, "penstock_writes_oldest_seconds", "Age of the oldest accepted write that is not applied yet.", stats.Oldest.Seconds()))
	add(observe.One(observe.Gauge, "penstock_writes_dead", "Writes that could not be applied and are kept as dead letters; penstock writes lists them.", float64(stats.Dead)))
	add(observe.One(observe.Counter, "penstock_writes_lost_total", "Acknowledged writes that this instance found to be lost without having been applied.", float64(stats.Lost)))
}

// costMetrics adds the metrics of this month's account, if there is one.
func (f *Figures) costMetrics(add func(observe.Family)) {
	r := f.watched.Cost()
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

// stateMetrics adds the metrics of the state that outlives a configuration.
func (f *Figures) stateMetrics(add func(observe.Family)) {
	f.memoryMetrics(add)
	f.poolMetrics(add)
	f.watched.Built.Metrics(add)
	f.fleetMetrics(add)
}

func (f *Figures) memoryMetrics(add func(observe.Family)) {
	s, tier := f.watched.Fleet.Memory.Stats(), []string{"tier", "memory"}
	add(observe.One(observe.Gauge, "penstock_cache_objects", "Stored objects.", float64(s.Objects), tier...))
	add(observe.One(observe.Gauge, "penstock_cache_bytes", "Bytes used by stored objects.", float64(s.Bytes), tier...))
	add(observe.One(observe.Gauge, "penstock_cache_limit_bytes", "Limit of the bytes used by stored objects.", float64(f.watched.Fleet.Limits().Size), tier...))
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
	of         func(*pools.Target) float64
}{
	{observe.Gauge, "penstock_upstream_connections_open", "Open connections to a target.", func(t *pools.Target) float64 { return float64(t.Open) }},
	{observe.Gauge, "penstock_upstream_connections_idle", "Open connections to a target that carry no call.", func(t *pools.Target) float64 { return float64(t.Idle) }},
	{observe.Gauge, "penstock_upstream_requests_running", "Running calls to a target.", func(t *pools.Target) float64 { return float64(t.InFlight) }},
	{observe.Gauge, "penstock_upstream_requests_waiting", "Calls that wait for a connection to a target.", func(t *pools.Target) float64 { return float64(t.Waiting) }},
	{observe.Gauge, "penstock_upstream_requests_beside_max", "Running calls to a target that count in pool.upgraded and not in pool.max: upgraded connections, streams, and calls that wait for their clients.", func(t *pools.Target) float64 { return float64(t.Beside) }},
	{observe.Counter, "penstock_upstream_tries_total", "Attempts to call a target.", func(t *pools.Target) float64 { return float64(t.Tries) }},
	{observe.Counter, "penstock_upstream_failures_total", "Attempts to call a target that led to no response.", func(t *pools.Target) float64 { return float64(t.Failures) }},
	{observe.Counter, "penstock_upstream_no_files_total", "Attempts to call a target that failed because the gateway had no open files left (ulimit -n). They do not count as failures of the target.", func(t *pools.Target) float64 { return float64(t.Unopened) }},
}

func (f *Figures) poolMetrics(add func(observe.Family)) {
	targets := f.watched.Pools.Targets()
	for _, p := range poolFamilies {
		family := observe.Family{Name: p.name, Help: p.help, Kind: p.kind}
		for i := range targets {
			t := &targets[i]
			family.Points = append(family.Points, observe.Point{Labels: observe.Labels("upstream", t.Upstream, "target", t.Target), Value: p.of(t)})
		}
		add(family)
	}
}

// fleetMetrics adds the metrics of the tier that instances share, if there is one.
func (f *Figures) fleetMetrics(add func(observe.Family)) {
	s, ok := f.watched.Fleet.State()
	if !ok {
		return
	}
	add(observe.One(observe.Gauge, "penstock_redis_up", "1 if Redis answers, 0 while it does not and requests are handled without it.", truth(s.Up)))
	add(observe.One(observe.Gauge, "penstock_redis_state_change_time_seconds", "Unix time at which Redis last began or ceased to answer.", float64(s.Since.UnixMilli())/1e3))
	add(observe.One(observe.Gauge, "penstock_redis_purges_current", "1 if this instance knows all purges of the other instances, 0 if not.", truth(s.Current)))
	add(observe.One(observe.Gauge, "penstock_redis_purges_change_time_seconds", "Unix time at which the connection to the history of purges last began or broke.", float64(s.CurrentSince.UnixMilli())/1e3))
	add(observe.One(observe.Gauge, "penstock_redis_memory_doubted", "1 while this instance validates stored responses before each use, because it may have missed purges for longer than max_cut_off; 0 if not.", truth(s.Doubted)))
}
