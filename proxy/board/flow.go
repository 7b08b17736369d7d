package board

import (
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

// flow is the traffic of one route, or of all routes, in some period.
type flow struct {
	requests, hits, errors, unrouted   uint64
	originRequests                     uint64
	bytesIn, bytesOut, bytesFromOrigin uint64
	savedByCache, savedByCompression   uint64
	cache                              [len(cacheWords)]uint64
	status                             [len(statusWords)]uint64
	latency                            []bucket // the buckets that are not empty, ascending
	latencySum                         time.Duration
}

// bucket is a bucket of a histogram that is not empty.
type bucket struct {
	index uint16
	count uint64
}

// The words that have counters of their own, in the order in which they are shown.
var (
	cacheWords = [...]string{
		observe.CacheHit, observe.CacheStale, observe.CacheRefreshed, observe.CacheCollapsed, observe.CacheRevalidated, observe.CacheMiss, observe.CachePass, observe.CacheNone,
	}
	statusWords = [...]string{"2xx", "3xx", "4xx", "5xx", "1xx", "none"}
)

// answeredHere is the number of cacheWords, from the first, for requests that cause no origin call
// of their own.
const answeredHere = 4

// add adds a row of the meter, or the difference of two rows, to f.
func (f *flow) add(s *observe.Series, c *observe.Counts) {
	f.requests += c.Requests
	if i := slices.Index(cacheWords[:], s.Cache); i >= 0 {
		f.cache[i] += c.Requests
		if i < answeredHere {
			f.hits += c.Requests
		}
	}
	if i := slices.Index(statusWords[:], s.Status); i >= 0 {
		f.status[i] += c.Requests
	}
	if s.Status == "5xx" {
		f.errors += c.Requests
	}
	if s.Cache == observe.CacheNone {
		f.unrouted += c.Requests
	}
	f.originRequests += c.OriginRequests
	f.bytesIn += c.BytesIn
	f.bytesOut += c.BytesOut
	f.bytesFromOrigin += c.BytesFromOrigin
	f.savedByCache += c.BytesSavedByCache
	f.savedByCompression += c.BytesSavedByCompression
	f.latencySum += c.Latency.Sum
	f.latency = plus(f.latency, sparse(&c.Latency))
}

// merge adds g to f.
func (f *flow) merge(g *flow) {
	f.requests += g.requests
	f.hits += g.hits
	f.errors += g.errors
	f.unrouted += g.unrouted
	f.originRequests += g.originRequests
	f.bytesIn += g.bytesIn
	f.bytesOut += g.bytesOut
	f.bytesFromOrigin += g.bytesFromOrigin
	f.savedByCache += g.savedByCache
	f.savedByCompression += g.savedByCompression
	f.latencySum += g.latencySum
	for i, n := range g.cache {
		f.cache[i] += n
	}
	for i, n := range g.status {
		f.status[i] += n
	}
	f.latency = plus(f.latency, g.latency)
}

func sparse(h *observe.Histogram) []bucket {
	var out []bucket
	for i, n := range h.Buckets {
		if n > 0 {
			out = append(out, bucket{uint16(i), n})
		}
	}
	return out
}

// plus returns the sum of a and b. If both have buckets, it allocates a new slice.
func plus(a, b []bucket) []bucket {
	switch {
	case len(b) == 0:
		return a
	case len(a) == 0:
		return b
	}
	out := make([]bucket, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].index < b[0].index:
			out, a = append(out, a[0]), a[1:]
		case a[0].index > b[0].index:
			out, b = append(out, b[0]), b[1:]
		default:
			out = append(out, bucket{a[0].index, a[0].count + b[0].count})
			a, b = a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// histogram returns the latency in the meter's form.
func (f *flow) histogram() *observe.Histogram {
	h := &observe.Histogram{Sum: f.latencySum}
	for _, b := range f.latency {
		h.Buckets[b.index] = b.count
		h.Count += b.count
	}
	return h
}

// routeFlow is the flow of a route.
type routeFlow struct {
	route string
	flow
}

// sample is the traffic between two readings, by route, sorted by route name. It is immutable.
type sample struct {
	from, at time.Time
	routes   []routeFlow
}

const (
	// keptRoutes bounds the routes of a sample. Others are counted under OtherRoutes.
	keptRoutes = 200
	// OtherRoutes is the name for the routes with the least traffic, if there are too many.
	OtherRoutes = "(others)"
	// NoRoute is the name for requests that match no route or are refused before routing.
	NoRoute = "(no route)"
)

// difference returns the traffic between two readings. Their rows must be in the same order.
func difference(older, newer observe.Reading) *sample {
	before := make(map[observe.Series]*observe.Counts, len(older.Rows))
	for i := range older.Rows {
		before[older.Rows[i].Series] = &older.Rows[i].Counts
	}
	flows := make(map[string]*routeFlow)
	for i := range newer.Rows {
		row := &newer.Rows[i]
		c := row.Counts
		if o := before[row.Series]; o != nil {
			if sameCounts(&c, o) {
				continue
			}
			c = since(c, o)
		}
		name := row.Route
		if name == "" {
			name = NoRoute
		}
		f := flows[name]
		if f == nil {
			f = &routeFlow{route: name}
			flows[name] = f
		}
		f.add(&row.Series, &c)
	}
	s := &sample{from: older.At, at: newer.At}
	for _, f := range flows {
		s.routes = append(s.routes, *f)
	}
	s.bound()
	return s
}

func sameCounts(a, b *observe.Counts) bool {
	return a.Requests == b.Requests && a.OriginRequests == b.OriginRequests && a.BytesFromOrigin == b.BytesFromOrigin && a.BytesOut == b.BytesOut
}

func since(c observe.Counts, o *observe.Counts) observe.Counts {
	c.Requests -= o.Requests
	c.BytesIn -= o.BytesIn
	c.BytesOut -= o.BytesOut
	c.BytesFromOrigin -= o.BytesFromOrigin
	c.BytesSavedByCache -= o.BytesSavedByCache
	c.BytesSavedByCompression -= o.BytesSavedByCompression
	c.OriginRequests -= o.OriginRequests
	c.Latency = c.Latency.Sub(o.Latency)
	return c
}

// bound keeps the routes with the most requests, counts the others together, and sorts by name.
func (s *sample) bound() {
	if len(s.routes) > keptRoutes {
		slices.SortFunc(s.routes, func(a, b routeFlow) int { return int(b.requests) - int(a.requests) })
		rest := routeFlow{route: OtherRoutes}
		for i := keptRoutes - 1; i < len(s.routes); i++ {
			rest.merge(&s.routes[i].flow)
		}
		s.routes = append(slices.Clip(s.routes[:keptRoutes-1]), rest)
	}
	slices.SortFunc(s.routes, func(a, b routeFlow) int { return strings.Compare(a.route, b.route) })
}

// joined merges samples into one. It returns nil for no samples.
func joined(samples []*sample) *sample {
	if len(samples) == 0 {
		return nil
	}
	flows := make(map[string]*routeFlow)
	for _, s := range samples {
		for i := range s.routes {
			f := flows[s.routes[i].route]
			if f == nil {
				f = &routeFlow{route: s.routes[i].route}
				flows[f.route] = f
			}
			f.merge(&s.routes[i].flow)
		}
	}
	out := &sample{from: samples[0].from, at: samples[len(samples)-1].at}
	for _, f := range flows {
		out.routes = append(out.routes, *f)
	}
	out.bound()
	return out
}

// total returns the flow of the named route, or of all routes if route is "".
func (s *sample) total(route string) flow {
	var f flow
	for i := range s.routes {
		if route == "" || s.routes[i].route == route {
			f.merge(&s.routes[i].flow)
		}
	}
	return f
}
