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

// The words for what the cache did for a request: the values of Event.Cache and Series.Cache.
const (
	CacheHit         = "hit"         // answered from what is stored, which is fresh
	CacheStale       = "stale"       // answered from what is stored although it is stale
	CacheRevalidated = "revalidated" // answered from what is stored after the origin has confirmed it
	CacheRefreshed   = "refreshed"   // answered from what is stored, and refreshed in the background
	CacheMiss        = "miss"        // answered by a call to the origin, because nothing usable was stored
	CacheCollapsed   = "collapsed"   // answered by another request's call
	CachePass        = "pass"        // kept away from the cache
	CacheNone        = "none"        // no cache was asked: no route matched, or the request was refused before
)

// The label values of a Series. Whatever a client sends is one of them.
var (
	methodWords = [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"}
	statusWords = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}
	cacheWords  = [...]string{
		CacheHit, CacheStale, CacheRevalidated, CacheRefreshed, CacheMiss, CacheCollapsed, CachePass, CacheNone,
	}
)

const (
	// maxRoutes bounds the routes of all configurations that a process has run. Requests for more are counted without their route.
	maxRoutes = 8192
	maxShards = 16
	cellCount = len(methodWords) * len(statusWords) * len(cacheWords)
)

// Series says what is counted together. All of its values are bounded: Route is a route of the configuration or "", the others are words of
// fixed lists.
type Series struct {
	Route  string
	Method string // GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS or other
	Status string // 1xx to 5xx, or none for a client that left before there was a response
	Cache  string // hit, stale, revalidated, refreshed, miss, collapsed, pass or none
}

// Counts are the figures of a Series since the process began.
//
// Calls to origins that fill the cache are counted when they end, under the status and the outcome of the call: their OriginRequests and
// BytesFromOrigin may stand in a series that has no Requests.
type Counts struct {
	Requests                uint64
	BytesIn                 uint64 // from clients, heads included
	BytesOut                uint64 // of content to clients
	BytesFromOrigin         uint64 // of content from origins
	BytesSavedByCache       uint64 // of content to clients that came from what is stored, or from another request's call
	BytesSavedByCompression uint64 // of content that clients did not have to be sent, for it was coded here
	OriginRequests          uint64 // calls to origins
	Latency                 Histogram
}

// Row is a Series with its Counts.
type Row struct {
	Series
	Counts
}

// Reading is what a Meter has counted until At.
type Reading struct {
	At   time.Time
	Rows []Row // of the series with anything in them, in a fixed order
}

// Meter counts requests, bytes and latencies by Series: the one source of all figures. It is a Sink. What is counted for a series that there is already
// allocates nothing, and takes no lock; how many series there can be is for the configuration to say, not for clients.
type Meter struct {
	shards int // a power of two
	routes atomic.Pointer[map[string]*routeCells]
	mu     sync.Mutex // guards changes of routes
}

var (
	_ Sink   = (*Meter)(nil)
	_ Filler = (*Meter)(nil)
)

// routeCells are the cells of a route, made when they are needed.
type routeCells [cellCount]atomic.Pointer[cell]

// cell holds the figures of a series, in shards so that processors do not contend for them.
type cell struct{ shards []shard }

type shard struct {
	bytesIn, bytesOut, bytesFromOrigin, bytesSaved, originRequests atomic.Uint64
	sum                                                            atomic.Int64
	buckets                                                        [NBuckets]atomic.Uint64
	_                                                              [4]uint64 // to the end of the cache line
}

// NewMeter returns a Meter that has counted nothing.
func NewMeter() *Meter {
	n := min(maxShards, 1<<bits.Len(uint(runtime.GOMAXPROCS(0)-1)))
	m := &Meter{shards: n}
	m.routes.Store(&map[string]*routeCells{"": new(routeCells)})
	return m
}

// Declare has requests counted by these routes too. What was counted for others stays.
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

// Hit counts a request that a connection answered.
func (m *Meter) Hit(h *Hit) {
	m.shard(h.Route, h.Method, h.Status, CacheHit, h.Shard).request(h.Took, h.BytesIn, h.BytesOut, h.BytesSaved)
}

// Fill counts a fill's calls to the origin.
func (m *Meter) Fill(e *Event) {
	if e.OriginRequests > 0 || e.BytesFromOrigin > 0 {
		m.shard(e.Route, e.Method, e.Status, e.Cache, rand.Uint32()).origin(e)
	}
}

// shard is where to count.
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

// Read gives all that was counted. It does not stop the counting: of requests that end meanwhile some figures may be in it and some not yet.
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

// stored reports whether the content of the responses of a cache outcome came from what is stored, or from another's call.
func stored(cache int) bool {
	return cache < cacheIndex(CacheMiss) || cache == cacheIndex(CacheCollapsed)
}

// read adds up the shards. saved says that all content is what the cache has saved.
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

// MethodClass is the word for method in a Series.
func MethodClass(method string) string { return methodWords[methodIndex(method)] }

func statusIndex(status int) int {
	if c := status / 100; c > 0 && c < len(statusWords) {
		return c
	}
	return 0
}

// StatusClass is the word for status in a Series.
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
