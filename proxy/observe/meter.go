package observe

import (
	"maps"
	"math/bits"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The words for how the cache handled a request: the values of Event.Cache and Series.Cache.
const (
	CacheHit         = "hit"         // answered from the store with a fresh response
	CacheStale       = "stale"       // answered from the store with a stale response
	CacheRevalidated = "revalidated" // answered from the store after the origin confirmed the response
	CacheRefreshed   = "refreshed"   // answered from the store, and refreshed in the background
	CacheMiss        = "miss"        // answered by a call to the origin, because no usable response was stored
	CacheCollapsed   = "collapsed"   // answered by another request's call
	CachePass        = "pass"        // bypassed the cache
	CacheNone        = "none"        // did not reach a cache: no route matched, or the request was refused before
)

// The label values of a Series. Every request maps to one of them, whatever the client sends.
var (
	methodWords = [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"}
	statusWords = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}
	cacheWords  = [...]string{
		CacheHit, CacheStale, CacheRevalidated, CacheRefreshed, CacheMiss, CacheCollapsed, CachePass, CacheNone,
	}
)

const (
	// maxRoutes bounds the routes of all configurations that a process has run. Requests for
	// further routes are counted without a route.
	maxRoutes = 8192
	maxShards = 16
	cellCount = len(methodWords) * len(statusWords) * len(cacheWords)
)

// Series identifies figures that are counted together. All its values are bounded: Route is a route
// of the configuration or "", and the others come from fixed lists.
type Series struct {
	Route  string
	Method string // GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS or other
	Status string // 1xx to 5xx, or none if the client left before there was a response
	Cache  string // hit, stale, revalidated, refreshed, miss, collapsed, pass or none
}

// Counts are the figures of a Series since the process began.
//
// Calls to origins that fill the cache are counted when they end, under the status and the cache
// word of the call. So a series may have OriginRequests and BytesFromOrigin without Requests.
type Counts struct {
	Requests                uint64
	BytesIn                 uint64 // from clients, with heads
	BytesOut                uint64 // content to clients
	BytesFromOrigin         uint64 // content from origins
	BytesSavedByCache       uint64 // content to clients that came from the store or from another request's call
	BytesSavedByCompression uint64 // content that compression in the gateway saved
	OriginRequests          uint64 // calls to origins
	Latency                 Histogram
}

// Row is a Series with its Counts.
type Row struct {
	Series
	Counts
}

// Reading is the state of a Meter at the time At.
type Reading struct {
	At   time.Time
	Rows []Row // the series with any figures, in a fixed order
}

// Meter counts requests, bytes and latencies by Series. It is the single source of all figures, and
// a Sink. Counting in an existing series allocates nothing and takes no lock. The configuration
// bounds the number of series; clients can't add any.
type Meter struct {
	shards int // a power of two
	routes atomic.Pointer[map[string]*routeCells]
	mu     sync.Mutex // guards changes of routes
}

var (
	_ Sink   = (*Meter)(nil)
	_ Filler = (*Meter)(nil)
)

// routeCells are the cells of a route, created on demand.
type routeCells [cellCount]atomic.Pointer[cell]

// cell holds the figures of a series in shards, so that processors do not contend for them.
type cell struct{ shards []shard }

type shard struct {
	bytesIn, bytesOut, bytesFromOrigin, bytesSaved, originRequests atomic.Uint64
	sum                                                            atomic.Int64
	buckets                                                        [NBuckets]atomic.Uint64
	_                                                              [4]uint64 // padding to the end of the cache line
}

// NewMeter returns a Meter without any counts.
func NewMeter() *Meter {
	n := min(maxShards, 1<<bits.Len(uint(runtime.GOMAXPROCS(0)-1)))
	m := &Meter{shards: n}
	m.routes.Store(&map[string]*routeCells{"": new(routeCells)})
	return m
}

// Declare adds routes by which requests are counted. Existing counts stay.
func (m *Meter) Declare(routes ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := maps.Clone(*m.routes.Load())
	for _, name := range routes {
		if next[name] == nil && len(next) <= maxRoutes {
			next[name] = new(routeCells)
		}
	}
	m.routes.Store(&next)
}

// Finish counts a request that a handler answered.
func (m *Meter) Finish(e *Event, _ *http.Request) {
	s := m.shard(e.Route, e.Method, e.Status, e.Cache, rand.Uint32())
	s.request(e.Took, e.BytesIn, e.BytesOut, e.BytesSaved)
	s.origin(e)
}

// Hit counts a request that a connection answered from memory.
func (m *Meter) Hit(h *Hit) {
	m.shard(h.Route, h.Method, h.Status, CacheHit, h.Shard).request(h.Took, h.BytesIn, h.BytesOut, h.BytesSaved)
}

// Fill counts a fill's calls to the origin.
func (m *Meter) Fill(e *Event) {
	if e.OriginRequests > 0 || e.BytesFromOrigin > 0 {
		m.shard(e.Route, e.Method, e.Status, e.Cache, rand.Uint32()).origin(e)
	}
}

// shard returns the counters for a request.
func (m *Meter) shard(route, method string, status int, cache string, pick uint32) *shard {
	routes := *m.routes.Load()
	cells := routes[route]
	if cells == nil {
		cells = routes[""]
	}
	slot := &cells[(methodIndex(method)*len(statusWords)+statusIndex(status))*len(cacheWords)+cacheIndex(cache)]
	c := slot.Load()
	if c == nil {
		slot.CompareAndSwap(nil, &cell{make([]shard, m.shards)})
		c = slot.Load()
	}
	return &c.shards[int(pick)&(m.shards-1)]
}

func (s *shard) request(took time.Duration, in, out, saved int64) {
	s.buckets[bucketOf(took)].Add(1)
	s.sum.Add(int64(took))
	s.bytesIn.Add(uint64(in))
	s.bytesOut.Add(uint64(out))
	if saved > 0 {
		s.bytesSaved.Add(uint64(saved))
	}
}

func (s *shard) origin(e *Event) {
	if e.OriginRequests > 0 {
		s.originRequests.Add(uint64(e.OriginRequests))
	}
	if e.BytesFromOrigin > 0 {
		s.bytesFromOrigin.Add(uint64(e.BytesFromOrigin))
	}
}

// Read returns all counts. Counting continues meanwhile, so a request that ends during Read may be
// counted in part.
func (m *Meter) Read() Reading {
	r := Reading{At: time.Now()}
	routes := *m.routes.Load()
	for _, name := range slices.Sorted(maps.Keys(routes)) {
		for i := range routes[name] {
			if c := routes[name][i].Load(); c != nil {
				r.Rows = append(r.Rows, Row{seriesAt(name, i), c.read(stored(i % len(cacheWords)))})
			}
		}
	}
	return r
}

func seriesAt(route string, i int) Series {
	return Series{
		Route:  route,
		Method: methodWords[i/len(cacheWords)/len(statusWords)],
		Status: statusWords[i/len(cacheWords)%len(statusWords)],
		Cache:  cacheWords[i%len(cacheWords)],
	}
}

// stored reports whether responses with the given cache word came from the store or from another
// request's call.
func stored(cache int) bool {
	return cache < cacheIndex(CacheMiss) || cache == cacheIndex(CacheCollapsed)
}

// read adds up the shards. If saved is true, the cache saved all content.
func (c *cell) read(saved bool) Counts {
	var out Counts
	for i := range c.shards {
		s := &c.shards[i]
		out.BytesIn += s.bytesIn.Load()
		out.BytesOut += s.bytesOut.Load()
		out.BytesFromOrigin += s.bytesFromOrigin.Load()
		out.BytesSavedByCompression += s.bytesSaved.Load()
		out.OriginRequests += s.originRequests.Load()
		out.Latency.Sum += time.Duration(s.sum.Load())
		for b := range s.buckets {
			n := s.buckets[b].Load()
			out.Latency.Buckets[b] += n
			out.Latency.Count += n
		}
	}
	out.Requests = out.Latency.Count
	if saved {
		out.BytesSavedByCache = out.BytesOut
	}
	return out
}

func methodIndex(method string) int {
	switch method {
	case "GET":
		return 0
	case "HEAD":
		return 1
	case "POST":
		return 2
	case "PUT":
		return 3
	case "PATCH":
		return 4
	case "DELETE":
		return 5
	case "OPTIONS":
		return 6
	}
	return 7
}

// MethodClass returns the word for method in a Series.
func MethodClass(method string) string { return methodWords[methodIndex(method)] }

func statusIndex(status int) int {
	if c := status / 100; c > 0 && c < len(statusWords) {
		return c
	}
	return 0
}

// StatusClass returns the word for status in a Series.
func StatusClass(status int) string { return statusWords[statusIndex(status)] }

func cacheIndex(cache string) int {
	switch cache {
	case CacheHit:
		return 0
	case CacheStale:
		return 1
	case CacheRevalidated:
		return 2
	case CacheRefreshed:
		return 3
	case CacheMiss:
		return 4
	case CacheCollapsed:
		return 5
	case CachePass:
		return 6
	}
	return 7
}
