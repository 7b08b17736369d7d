package board

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

const (
	slowWindow  = time.Minute
	slowWindows = 60
	slowCount   = 16                    // requests of one window
	slowFloor   = 10 * time.Millisecond // shorter requests are never kept
	maxPath     = 256
)

// SlowRequest is one of the slowest requests of its minute. It has the path of its URL but not the
// query, because queries may hold secrets.
type SlowRequest struct {
	At           time.Time `json:"at"`   // when it ended
	Took         float64   `json:"took"` // milliseconds
	Method       string    `json:"method"`
	Host         string    `json:"host"`
	Path         string    `json:"path"` // escaped, cut at 256 bytes
	Route        string    `json:"route"`
	Status       int       `json:"status"` // 0 if the client left before there was a response
	BytesOut     int64     `json:"bytes_out"`
	Cache        string    `json:"cache"`  // the action of the cache
	Reason       string    `json:"reason"` // the reason for the action
	Tier         string    `json:"tier,omitempty"`
	KeyHash      string    `json:"key_hash,omitempty"`
	Age          float64   `json:"age_s"`
	TTL          float64   `json:"ttl_s"`
	Stored       bool      `json:"stored"`
	ForwardedFor string    `json:"forwarded_for,omitempty"` // why the request went to the origin, as in Cache-Status
	Upstream     string    `json:"upstream,omitempty"`
	Target       string    `json:"target,omitempty"`
	OriginStatus int       `json:"origin_status,omitempty"`
	Tries        int       `json:"tries,omitempty"`
	FirstByte    float64   `json:"first_byte"` // time to the first byte of the origin's response, in milliseconds
	Coding       string    `json:"coding,omitempty"`
	Error        string    `json:"error,omitempty"`    // as in Proxy-Status
	TraceID      string    `json:"trace_id,omitempty"` // "" if no trace was recorded
}

// SlowList is the body of GET /api/slow.
type SlowList struct {
	Window   float64       `json:"window_s"`   // the length of a window; the slowest of each are kept
	PerEach  int           `json:"per_window"` // how many are kept for each window
	Floor    float64       `json:"floor"`      // milliseconds; shorter requests are never kept
	Requests []SlowRequest `json:"requests"`   // the most recent first
}

// Slow keeps the slowest requests of each minute of the last hour. It is a Sink. For a request that
// is not slow it costs one comparison.
type Slow struct {
	now   func() time.Time
	least atomic.Int64 // nanoseconds; shorter requests are not kept
	until atomic.Int64 // the end of the current minute, in nanoseconds since 1970

	mu      sync.Mutex
	minutes [][]SlowRequest // the current one is the last; each is sorted, the slowest first
}

var _ observe.Sink = (*Slow)(nil)

// NewSlow returns an empty Slow.
func NewSlow(now func() time.Time) *Slow {
	s := &Slow{now: now}
	s.least.Store(int64(slowFloor))
	return s
}

// Finish considers a request that a handler answered.
func (s *Slow) Finish(e *observe.Event, r *http.Request) {
	end := e.Start.Add(e.Took)
	if !s.wants(e.Took, end) {
		return
	}
	s.keep(&SlowRequest{
		At: end.UTC(), Took: milliseconds(e.Took), Method: observe.MethodClass(e.Method), Host: short(e.Host), Path: short(r.URL.EscapedPath()), Route: e.Route,
		Status: e.Status, BytesOut: e.BytesOut, Cache: cmp.Or(e.Cache, observe.CacheNone), Reason: e.Reason, Tier: e.Tier, KeyHash: e.KeyHash,
		Age: e.Age.Seconds(), TTL: e.TTL.Seconds(), Stored: e.Stored, ForwardedFor: e.ForwardFor, Upstream: e.Upstream, Target: e.Target,
		OriginStatus: e.UpstreamStatus, Tries: e.Tries, FirstByte: milliseconds(e.FirstByte), Coding: e.Coding, Error: e.ProxyStatus, TraceID: e.TraceID(),
	}, e.Took, end)
}

// Hit considers a hit that a connection answered. It is slow only if the client is.
func (s *Slow) Hit(h *observe.Hit) {
	if h.Took < slowFloor { // almost all hits
		return
	}
	end := h.Start.Add(h.Took)
	if !s.wants(h.Took, end) {
		return
	}
	s.keep(&SlowRequest{
		At: end.UTC(), Took: milliseconds(h.Took), Method: h.Method, Host: short(h.Host), Path: pathOf(h.Head), Route: h.Route, Status: h.Status,
		BytesOut: h.BytesOut, Cache: observe.CacheHit, Tier: "memory", Age: h.Age.Seconds(), TTL: h.TTL.Seconds(), Coding: h.Coding,
	}, h.Took, end)
}

// pathOf returns the path of a request line.
func pathOf(head []byte) string {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	_, rest, _ := strings.Cut(string(line), " ")
	target, _, _ := strings.Cut(rest, " ")
	path, _, _ := strings.Cut(target, "?")
	return short(path)
}

func short(s string) string {
	if len(s) <= maxPath {
		return strings.Clone(s)
	}
	return strings.Clone(s[:maxPath]) + "…"
}

// wants reports, without a lock, whether a request may be among the slowest.
func (s *Slow) wants(took time.Duration, end time.Time) bool {
	return took >= slowFloor && (int64(took) > s.least.Load() || end.UnixNano() >= s.until.Load())
}

func (s *Slow) keep(r *SlowRequest, took time.Duration, end time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if end.UnixNano() >= s.until.Load() {
		s.turn(end)
	}
	current := &s.minutes[len(s.minutes)-1]
	i, _ := slices.BinarySearchFunc(*current, r.Took, func(k SlowRequest, took float64) int { return cmp.Compare(took, k.Took) })
	if *current = slices.Insert(*current, i, *r); len(*current) > slowCount {
		*current = (*current)[:slowCount]
	}
	if len(*current) == slowCount {
		s.least.Store(int64((*current)[slowCount-1].Took * float64(time.Millisecond)))
	}
}

// turn starts a new minute.
func (s *Slow) turn(now time.Time) {
	if len(s.minutes) == slowWindows {
		s.minutes = slices.Delete(s.minutes, 0, 1)
	}
	s.minutes = append(s.minutes, nil)
	s.least.Store(int64(slowFloor))
	s.until.Store(now.Truncate(slowWindow).Add(slowWindow).UnixNano())
}

// List returns the slow requests of the last hour, the most recent first.
func (s *Slow) List() *SlowList {
	from := s.now().Add(-slowWindow * slowWindows)
	out := &SlowList{Window: slowWindow.Seconds(), PerEach: slowCount, Floor: milliseconds(slowFloor), Requests: []SlowRequest{}}
	s.mu.Lock()
	for _, minute := range s.minutes {
		for _, r := range minute {
			if r.At.After(from) {
				out.Requests = append(out.Requests, r)
			}
		}
	}
	s.mu.Unlock()
	slices.SortFunc(out.Requests, func(a, b SlowRequest) int { return b.At.Compare(a.At) })
	return out
}
