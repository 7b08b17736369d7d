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
	slowCount   = 16                    // requests of a window
	slowFloor   = 10 * time.Millisecond // nothing shorter is slow
	maxPath     = 256
)

// SlowRequest is a request that was among the slowest of its minute. Of its URL it has the path alone: queries hold secrets.
type SlowRequest struct {
	At           time.Time `json:"at"`   // its end
	Took         float64   `json:"took"` // milliseconds
	Method       string    `json:"method"`
	Host         string    `json:"host"`
	Path         string    `json:"path"` // escaped, cut at 256 bytes
	Route        string    `json:"route"`
	Status       int       `json:"status"` // 0: the client left before there was a response
	BytesOut     int64     `json:"bytes_out"`
	Cache        string    `json:"cache"`  // what the cache did
	Reason       string    `json:"reason"` // why
	Tier         string    `json:"tier,omitempty"`
	KeyHash      string    `json:"key_hash,omitempty"`
	Age          float64   `json:"age_s"`
	TTL          float64   `json:"ttl_s"`
	Stored       bool      `json:"stored"`
	ForwardedFor string    `json:"forwarded_for,omitempty"` // why it went to the origin, as in Cache-Status
	Upstream     string    `json:"upstream,omitempty"`
	Target       string    `json:"target,omitempty"`
	OriginStatus int       `json:"origin_status,omitempty"`
	Tries        int       `json:"tries,omitempty"`
	FirstByte    float64   `json:"first_byte"` // of the origin, milliseconds
	Coding       string    `json:"coding,omitempty"`
	Error        string    `json:"error,omitempty"`    // as in Proxy-Status
	TraceID      string    `json:"trace_id,omitempty"` // where a trace of it was recorded
}

// SlowList is the body of GET /api/slow.
type SlowList struct {
	Window   float64       `json:"window_s"`   // the slowest of each such window are kept
	PerEach  int           `json:"per_window"` // so many
	Floor    float64       `json:"floor"`      // milliseconds: what is shorter is never kept
	Requests []SlowRequest `json:"requests"`   // the latest first
}

// Slow keeps the slowest requests of each minute of the last hour. It is a Sink, and costs a request that is not slow one comparison.
type Slow struct {
	now   func() time.Time
	least atomic.Int64 // nanoseconds that a request must have taken
	until atomic.Int64 // when the minute ends, in nanoseconds since 1970

	mu      sync.Mutex
	minutes [][]SlowRequest // the last is the current one; each the slowest first
}

var _ observe.Sink = (*Slow)(nil)

// NewSlow returns a Slow that has kept nothing.
func NewSlow(now func() time.Time) *Slow {
	s := &Slow{now: now}
	s.least.Store(int64(slowFloor))
	return s
}

// Finish looks at a request that a handler answered.
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

// Hit looks at a request that a connection answered, which is slow when the client is.
func (s *Slow) Hit(h *observe.Hit) {
	if h.Took < slowFloor { // nearly all
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

// pathOf is the path of a request line.
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

// turn begins a new minute.
func (s *Slow) turn(now time.Time) {
	if len(s.minutes) == slowWindows {
		s.minutes = slices.Delete(s.minutes, 0, 1)
	}
	s.minutes = append(s.minutes, nil)
	s.least.Store(int64(slowFloor))
	s.until.Store(now.Truncate(slowWindow).Add(slowWindow).UnixNano())
}

// List gives what was kept of the last hour, the latest first.
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
