package board

import (
	"cmp"
	"slices"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

// Figures are the figures of one route, or of all routes, in a window.
type Figures struct {
	Requests     uint64   `json:"requests"`
	PerSecond    float64  `json:"per_second"`
	Hits         uint64   `json:"hits"`           // requests without an origin call of their own: hit, stale, refreshed and collapsed
	HitRatio     *float64 `json:"hit_ratio"`      // hits / requests that reached a route
	ByteHitRatio *float64 `json:"byte_hit_ratio"` // body bytes from stored responses / body bytes to clients
	Errors       uint64   `json:"errors"`         // 5xx
	ErrorRatio   *float64 `json:"error_ratio"`

	OriginRequests          uint64 `json:"origin_requests"`
	BytesIn                 uint64 `json:"bytes_in"`
	BytesOut                uint64 `json:"bytes_out"`
	BytesFromOrigin         uint64 `json:"bytes_from_origin"`
	BytesSavedByCache       uint64 `json:"bytes_saved_by_cache"`
	BytesSavedByCompression uint64 `json:"bytes_saved_by_compression"`

	P50  *float64 `json:"p50"` // milliseconds
	P90  *float64 `json:"p90"`
	P99  *float64 `json:"p99"`
	Mean *float64 `json:"mean"`

	Cache  map[string]uint64 `json:"cache"`  // requests by the action of the cache: hit, stale, refreshed, collapsed, revalidated, miss, pass, none
	Status map[string]uint64 `json:"status"` // requests by status class
}

// Route is the figures of a route.
type Route struct {
	Route string `json:"route"` // a name, OtherRoutes or NoRoute
	Figures
}

// Upstream is the state of an upstream.
type Upstream struct {
	Name     string   `json:"name"`
	Protocol string   `json:"protocol"`
	Balance  string   `json:"balance"`
	InFlight int      `json:"in_flight"` // attempts that run or wait for a connection
	Limit    int      `json:"limit"`     // maximum connections to each target; 0 if unlimited
	Targets  []Target `json:"targets"`
}

// Target is the state of one server of an upstream.
type Target struct {
	URL       string     `json:"url"`
	Weight    int        `json:"weight"`
	State     string     `json:"state"` // "unused", "up" or "failing", according to the last attempt
	InFlight  int        `json:"in_flight"`
	Requests  uint64     `json:"requests"` // since the pool was created
	Failures  uint64     `json:"failures"` // attempts without a response
	FailedAt  *time.Time `json:"failed_at"`
	LastError string     `json:"last_error,omitempty"`
}

// Tier is the state of a cache tier.
type Tier struct {
	Name     string     `json:"name"`  // "memory" or "redis"
	State    string     `json:"state"` // "up" or "degraded"
	Objects  int64      `json:"objects,omitempty"`
	Bytes    int64      `json:"bytes,omitempty"`
	Size     int64      `json:"size,omitempty"` // its capacity in bytes
	Hits     int64      `json:"hits,omitempty"` // successful lookups
	Misses   int64      `json:"misses,omitempty"`
	Evicted  int64      `json:"evicted,omitempty"`  // objects removed for lack of space
	Rejected int64      `json:"rejected,omitempty"` // objects that were not admitted
	Expired  int64      `json:"expired,omitempty"`
	Server   string     `json:"server,omitempty"`
	Since    *time.Time `json:"since,omitempty"` // when the state began
	Error    string     `json:"error,omitempty"`
}

// Stats is one reading: the body of GET /api/stats, and of each event of the stream.
type Stats struct {
	At        time.Time  `json:"at"`
	Version   string     `json:"version"`
	Ready     bool       `json:"ready"`
	Uptime    float64    `json:"uptime_s"`
	Window    float64    `json:"window_s"`  // the requested window
	Covered   float64    `json:"covered_s"` // the part of it that has data; it is shorter after a start
	Total     Figures    `json:"total"`
	Routes    []Route    `json:"routes"` // sorted by requests, the busiest first
	Last      *Point     `json:"last"`   // the last second; null before the first sample
	Upstreams []Upstream `json:"upstreams"`
	Tiers     []Tier     `json:"tiers"`
}

// Point is one step of a series.
type Point struct {
	At              int64       `json:"at_ms"` // the end of the step
	Step            float64     `json:"step_s"`
	Requests        uint64      `json:"requests"`
	Hits            uint64      `json:"hits"`
	Routed          uint64      `json:"routed"` // requests that reached a route
	Errors          uint64      `json:"errors"`
	OriginRequests  uint64      `json:"origin_requests"`
	BytesOut        uint64      `json:"bytes_out"`
	BytesFromOrigin uint64      `json:"bytes_from_origin"`
	BytesFromCache  uint64      `json:"bytes_from_cache"`
	P50             *float64    `json:"p50"`
	P99             *float64    `json:"p99"`
	Latency         [][2]uint64 `json:"latency"` // pairs of a bucket's number and its requests
}

// Series is the body of GET /api/stats/history.
type Series struct {
	Route  string    `json:"route,omitempty"`
	Window float64   `json:"window_s"`
	Step   float64   `json:"step_s"` // 1 for windows up to five minutes, else 10
	Bounds []float64 `json:"bounds"` // the ends of the buckets of Point.Latency, in milliseconds; the last bucket has no end
	Points []Point   `json:"points"` // the oldest first
}

func ratio(part, whole uint64) *float64 {
	if whole == 0 {
		return nil
	}
	r := float64(part) / float64(whole)
	return &r
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func quantile(h *observe.Histogram, q float64) *float64 {
	if h.Count == 0 {
		return nil
	}
	ms := milliseconds(h.Quantile(q))
	return &ms
}

func figures(f *flow, over time.Duration) Figures {
	h := f.histogram()
	out := Figures{
		Requests: f.requests, Hits: f.hits, HitRatio: ratio(f.hits, f.requests-f.unrouted), ByteHitRatio: ratio(f.savedByCache, f.bytesOut),
		Errors: f.errors, ErrorRatio: ratio(f.errors, f.requests), OriginRequests: f.originRequests,
		BytesIn: f.bytesIn, BytesOut: f.bytesOut, BytesFromOrigin: f.bytesFromOrigin,
		BytesSavedByCache: f.savedByCache, BytesSavedByCompression: f.savedByCompression,
		P50: quantile(h, 0.5), P90: quantile(h, 0.9), P99: quantile(h, 0.99), Cache: words(cacheWords[:], f.cache[:]), Status: words(statusWords[:], f.status[:]),
	}
	if over > 0 {
		out.PerSecond = float64(f.requests) / over.Seconds()
	}
	if h.Count > 0 {
		mean := milliseconds(h.Sum) / float64(h.Count)
		out.Mean = &mean
	}
	return out
}

func words(names []string, counts []uint64) map[string]uint64 {
	out := make(map[string]uint64)
	for i, n := range counts {
		if n > 0 {
			out[names[i]] = n
		}
	}
	return out
}

func point(s *sample, route string) Point {
	f := s.total(route)
	h := f.histogram()
	p := Point{
		At: s.at.UnixMilli(), Step: s.at.Sub(s.from).Seconds(), Requests: f.requests, Hits: f.hits, Routed: f.requests - f.unrouted, Errors: f.errors,
		OriginRequests: f.originRequests, BytesOut: f.bytesOut, BytesFromOrigin: f.bytesFromOrigin, BytesFromCache: f.savedByCache,
		P50: quantile(h, 0.5), P99: quantile(h, 0.99), Latency: [][2]uint64{},
	}
	for _, b := range f.latency {
		p.Latency = append(p.Latency, [2]uint64{uint64(b.index), b.count})
	}
	return p
}

// Stats returns the figures of the last window.
func (b *Board) Stats(window time.Duration) *Stats {
	samples := b.window(window)
	now := b.Now()
	out := &Stats{
		At: now.UTC(), Version: b.Version, Ready: b.Ready == nil || b.Ready(), Uptime: now.Sub(b.began).Seconds(), Window: window.Seconds(),
		Routes: []Route{}, Upstreams: []Upstream{}, Tiers: []Tier{},
	}
	if b.Upstreams != nil {
		out.Upstreams = append(out.Upstreams, b.Upstreams()...)
	}
	if b.Tiers != nil {
		out.Tiers = append(out.Tiers, b.Tiers()...)
	}
	all := joined(samples)
	if all == nil {
		out.Total = figures(&flow{}, 0)
		return out
	}
	over := all.at.Sub(all.from)
	out.Covered = over.Seconds()
	total := all.total("")
	out.Total = figures(&total, over)
	for i := range all.routes {
		out.Routes = append(out.Routes, Route{all.routes[i].route, figures(&all.routes[i].flow, over)})
	}
	slices.SortStableFunc(out.Routes, func(a, b Route) int { return cmp.Compare(b.Requests, a.Requests) })
	last := point(samples[len(samples)-1], "")
	out.Last = &last
	return out
}

// History returns the figures of the last window step by step, of the named route or, if route is
// "", of all routes.
func (b *Board) History(window time.Duration, route string) *Series {
	out := &Series{Route: route, Window: window.Seconds(), Step: fineStep.Seconds(), Points: []Point{}}
	if window > fineCount*fineStep {
		out.Step *= coarseEvery
	}
	for i := range observe.NBuckets - 1 {
		out.Bounds = append(out.Bounds, observe.Bound(i)*1000)
	}
	for _, s := range b.window(window) {
		out.Points = append(out.Points, point(s, route))
	}
	return out
}
