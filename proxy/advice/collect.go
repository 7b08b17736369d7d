package advice

import (
	"bufio"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

const (
	sampleAll = 1024 // the first requests of a route are all examined, then one in sampleOne
	sampleOne = 8
	// sampleHits replaces sampleOne for hits that connections answer themselves.
	sampleHits = 1 << 16
	maxParams  = 32
	maxTypes   = 16
	maxNames   = 64 // of a query parameter, bytes
	pairSlots  = 1 << 13
)

// Route is the part of a route's configuration on which advice depends.
type Route struct {
	Name      string
	Upstream  string
	Param     bool // its path has captures
	Cached    bool
	Compress  bool
	Batched   bool
	Paginated bool

	CookieMode string // cache.cookies
	KeyCookies string // cache.key.cookies, separated by spaces
	Ruled      bool   // it has cache_control rules
}

// Collector keeps the evidence. It is a Sink and safe for concurrent use.
type Collector struct {
	ghost  *Ghost
	stored atomic.Uint64 // stored responses
	routes atomic.Pointer[map[string]*routeEvidence]
	bursts bursts

	mu        sync.Mutex // guards the contents of routes and the fields below
	pairs     [pairSlots]pair
	upstreams map[string]*observe.Histogram
	declared  []Route
}

var (
	_ observe.Sink   = (*Collector)(nil)
	_ observe.Filler = (*Collector)(nil)
)

// routeEvidence is the evidence on one route. Counts are of the sample.
type routeEvidence struct {
	Route
	seen      atomic.Uint64 // up to sampleAll
	sampled   uint64
	urls      distinct
	reasons   map[string]uint64 // why responses were not stored or not used
	obstacles map[string]uint64 // without a cache: why responses could not be stored
	types     map[string]*typeEvidence
	params    map[string]*paramEvidence
	sizes     sizes
	plain     sizes // responses sent uncoded although the client accepts a coding
	bursts    uint64
	burst     uint64 // requests in all bursts
	largest   uint64 // size of the largest burst
	cookies   cookieEvidence
}

type typeEvidence struct{ n, bytes, plain, plainBytes uint64 }

// paramEvidence is the evidence on a query parameter. same counts pairs of requests that differ
// only in it and got equal contents, differ those with different contents.
type paramEvidence struct {
	n, same, differ uint64
	values          distinct
}

// pair is the last request whose other parameters are the same.
type pair struct{ rest, value, content uint64 }

// NewCollector returns a Collector for a memory tier of size bytes.
func NewCollector(size int64) *Collector {
	c := &Collector{ghost: NewGhost(size), upstreams: make(map[string]*observe.Histogram)}
	c.routes.Store(&map[string]*routeEvidence{})
	return c
}

// Declare sets the routes. It discards the evidence on a route whose description has changed.
func (c *Collector) Declare(routes []Route) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, next := *c.routes.Load(), make(map[string]*routeEvidence, len(routes))
	for _, r := range routes {
		if seen := old[r.Name]; seen != nil && seen.Route == r {
			next[r.Name] = seen
			continue
		}
		next[r.Name] = &routeEvidence{
			Route: r, reasons: make(map[string]uint64), obstacles: make(map[string]uint64), types: make(map[string]*typeEvidence), params: make(map[string]*paramEvidence),
			cookies: cookieEvidence{urls: make(map[uint64]*cookieURL), names: make(map[string]*cookieName)},
		}
	}
	c.declared = routes
	c.routes.Store(&next)
}

// Hit records a use of a stored object.
func (c *Collector) Hit(h *observe.Hit) {
	if h.Key != 0 {
		c.ghost.Use(h.Key, objectSize(h.BytesOut))
	}
	if h.Method != http.MethodGet {
		return
	}
	if route := (*c.routes.Load())[h.Route]; route != nil && route.takesHit() {
		c.sampleHit(route, h)
	}
}

// sampleHit examines a hit.
func (c *Collector) sampleHit(route *routeEvidence, h *observe.Hit) {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(h.Head))))
	if err != nil {
		return // cannot happen for an answered request
	}
	r.Host = h.Host
	e := observe.Event{Route: h.Route, Status: h.Status, BytesOut: h.BytesOut, Coding: h.Coding, ContentType: h.ContentType, ETag: h.ETag}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sample(route, &e, r)
}

// Fill records a call to an origin.
func (c *Collector) Fill(e *observe.Event) { c.origin(e) }

// Finish records a request.
func (c *Collector) Finish(e *observe.Event, r *http.Request) {
	if e.Key != 0 && e.Cache != observe.CachePass && (e.Stored || e.Cache != observe.CacheMiss) {
		c.ghost.Use(e.Key, objectSize(e.BytesOut))
		if e.Cache == observe.CacheMiss {
			c.stored.Add(1)
		}
	}
	c.origin(e)
	route := (*c.routes.Load())[e.Route]
	if route == nil || r.Method != http.MethodGet {
		return
	}
	if route.Param && e.ClientIP.IsValid() && e.Status == http.StatusOK {
		if ended, n := c.bursts.note(e.ClientIP, route, r.URL.Path, e.Start); n > 0 {
			c.mu.Lock()
			ended.count(n)
			c.mu.Unlock()
		}
	}
	if !route.takes() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sample(route, e, r)
	route.cookies.note(e, r)
}

// takes reports whether to examine a request.
func (r *routeEvidence) takes() bool {
	if r.seen.Load() < sampleAll {
		r.seen.Add(1)
		return true
	}
	return rand.Uint32()%sampleOne == 0
}

// takesHit reports whether to examine a connection's hit. Examining it takes longer than the hit
// itself.
func (r *routeEvidence) takesHit() bool {
	if r.seen.Load() < sampleAll {
		r.seen.Add(1)
		return true
	}
	return rand.Uint32()%sampleHits == 0
}

func (r *routeEvidence) count(n uint64) {
	r.bursts++
	r.burst += n
	r.largest = max(r.largest, n)
}

// objectSize estimates the memory of an object with n bytes of content; 0 means unknown.
func objectSize(n int64) int64 {
	if n <= 0 {
		return 0
	}
	return n + minObject
}

// origin records the time to the first byte of an origin's response.
func (c *Collector) origin(e *observe.Event) {
	if e.OriginRequests == 0 || e.Upstream == "" || e.FirstByte <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.upstreams[e.Upstream]
	if h == nil {
		if len(c.upstreams) >= maxNames {
			return
		}
		h = new(observe.Histogram)
		c.upstreams[e.Upstream] = h
	}
	h.Observe(e.FirstByte)
}

// sample examines a request.
func (c *Collector) sample(route *routeEvidence, e *observe.Event, r *http.Request) {
	route.sampled++
	if e.Reason != "" && e.Reason != "none" {
		route.reasons[e.Reason]++ // the reasons are a fixed list
	}
	if e.Obstacle != "" {
		route.obstacles[e.Obstacle]++
	}
	if e.Status != http.StatusOK {
		return
	}
	route.urls.add(hash(hash(0, r.Host), r.URL.Path+"?"+r.URL.RawQuery))
	route.sizes.add(e.BytesOut)
	route.content(e, r)
	c.query(route, e, r)
}

// content records the type and coding of a response.
func (r *routeEvidence) content(e *observe.Event, req *http.Request) {
	media, _, _ := strings.Cut(e.ContentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	t := r.types[media]
	if t == nil {
		if len(r.types) >= maxTypes || len(media) > maxNames {
			media = "other"
		}
		if t = r.types[media]; t == nil {
			t = new(typeEvidence)
			r.types[media] = t
		}
	}
	t.n++
	t.bytes += uint64(max(0, e.BytesOut))
	coded := e.Coding != "" && e.Coding != "identity"
	if !coded && e.BytesOut >= 1<<10 && compressible(media) && strings.Contains(req.Header.Get("Accept-Encoding"), "gzip") {
		t.plain++
		t.plainBytes += uint64(e.BytesOut)
		r.plain.add(e.BytesOut)
	}
}

// compressible reports whether responses of a media type compress well.
func compressible(media string) bool {
	return strings.HasPrefix(media, "text/") && media != "text/event-stream" || strings.HasSuffix(media, "json") || strings.HasSuffix(media, "xml") ||
		strings.HasSuffix(media, "javascript") || media == "application/wasm"
}

// query records each parameter, and whether the content depends on it.
func (c *Collector) query(route *routeEvidence, e *observe.Event, r *http.Request) {
	if r.URL.RawQuery == "" || len(r.URL.RawQuery) > 4096 {
		return
	}
	content := hash(uint64(e.BytesOut), e.ETag)
	params := strings.Split(r.URL.RawQuery, "&")
	for i, param := range params[:min(len(params), 16)] {
		name, value, _ := strings.Cut(param, "=")
		if name == "" || len(name) > maxNames {
			continue
		}
		p := route.params[name]
		if p == nil {
			if len(route.params) >= maxParams {
				continue
			}
			p = new(paramEvidence)
			route.params[name] = p
		}
		p.n++
		v := hash(1, value)
		p.values.add(v)
		rest := hash(hash(hash(2, route.Name), name), r.Host+r.URL.Path)
		for j, other := range params {
			if j != i {
				rest = hash(rest, other)
			}
		}
		last := &c.pairs[rest%pairSlots]
		if last.rest == rest && last.value != v {
			if last.content == content {
				p.same++
			} else {
				p.differ++
			}
		}
		*last = pair{rest, v, content}
	}
}

// Evidence is a copy of a Collector's evidence, for Advise.
type Evidence struct {
	Routes    []RouteEvidence
	Upstreams map[string]observe.Histogram
	Memory    MemoryEvidence
	Instance  InstanceEvidence
	Meter     observe.Reading
	Since     time.Duration // the duration of the collection
}

// MemoryEvidence is the evidence on the memory tier.
type MemoryEvidence struct {
	Size, Used, MaxObject int64
	Half, Same, Double    float64 // hit ratios of the sample
	Uses                  uint64
	Evicts                bool
}

// InstanceEvidence is the evidence on the process.
type InstanceEvidence struct {
	Processors int
	Busy       float64 // share of the processors' time
	Memory     int64   // of the process
	Limit      int64   // 0 if unlimited
}

// RouteEvidence is the evidence on a route. Counts are of a sample.
type RouteEvidence struct {
	Route
	Sampled            uint64
	URLs               float64
	Reasons, Obstacles map[string]uint64
	Types              map[string]TypeEvidence
	Params             map[string]ParamEvidence
	MeanBytes          float64
	LargeBytes         int64 // the 99th percentile
	Bursts, Burst      uint64
	Largest            uint64
	Cookies            CookieEvidence
}

// TypeEvidence is the evidence on a media type. Plain counts responses sent uncoded although the
// client accepts a coding.
type TypeEvidence struct{ N, Bytes, Plain, PlainBytes uint64 }

// ParamEvidence is the evidence on a query parameter.
type ParamEvidence struct {
	N, Same, Differ uint64
	Values          float64
}

// Read copies the evidence and adds the Meter's reading. Fields that a Collector cannot know stay
// empty.
func (c *Collector) Read(meter observe.Reading) Evidence {
	e := Evidence{Upstreams: make(map[string]observe.Histogram), Meter: meter}
	e.Memory.Half, e.Memory.Same, e.Memory.Double, e.Memory.Uses = c.ghost.Ratios(c.uses(&meter))
	e.Memory.Evicts = c.ghost.Evicts()
	running := make(map[*routeEvidence][]uint64)
	c.bursts.open(func(r *routeEvidence, n uint64) { running[r] = append(running[r], n) })
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, h := range c.upstreams {
		e.Upstreams[name] = *h
	}
	routes := *c.routes.Load()
	for _, r := range c.declared {
		seen := routes[r.Name]
		out := seen.read()
		for _, n := range running[seen] {
			out.Bursts, out.Burst, out.Largest = out.Bursts+1, out.Burst+n, max(out.Largest, n)
		}
		e.Routes = append(e.Routes, out)
	}
	return e
}

// uses returns the number of all uses of stored objects, of which the Ghost sees a sample.
func (c *Collector) uses(meter *observe.Reading) uint64 {
	n := c.stored.Load()
	for i := range meter.Rows {
		switch row := &meter.Rows[i]; row.Cache {
		case observe.CacheMiss, observe.CachePass, observe.CacheNone:
		default:
			n += row.Requests
		}
	}
	return n
}

func (r *routeEvidence) read() RouteEvidence {
	out := RouteEvidence{
		Route: r.Route, Sampled: r.sampled, URLs: r.urls.count(), Reasons: maps.Clone(r.reasons), Obstacles: maps.Clone(r.obstacles),
		Types: make(map[string]TypeEvidence), Params: make(map[string]ParamEvidence), LargeBytes: r.sizes.quantile(0.99),
		Bursts: r.bursts, Burst: r.burst, Largest: r.largest, Cookies: r.cookies.read(),
	}
	if r.sizes.n > 0 {
		out.MeanBytes = float64(r.sizes.sum) / float64(r.sizes.n)
	}
	for name, t := range r.types {
		out.Types[name] = TypeEvidence{t.n, t.bytes, t.plain, t.plainBytes}
	}
	for name, p := range r.params {
		out.Params[name] = ParamEvidence{p.n, p.same, p.differ, p.values.count()}
	}
	return out
}
