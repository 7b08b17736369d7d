package board

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/penstock/penstock/proxy/observe"
)

// finish counts a request as the gateway would.
func finish(m *observe.Meter, route, cache string, status int, took time.Duration, bytes int64) {
	e := &observe.Event{Route: route, Method: "GET", Status: status, Cache: cache, Took: took, BytesOut: bytes}
	if cache == observe.CacheMiss || cache == observe.CachePass {
		e.OriginRequests, e.BytesFromOrigin = 1, bytes
	}
	m.Finish(e, nil)
}

func start(m *observe.Meter) *Board {
	return New(Config{Read: m.Read, Slow: NewSlow(time.Now), Now: time.Now, Version: "test"})
}

// TestWindows checks that requests count in the windows that include them, and in no others.
func TestWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := observe.NewMeter()
		m.Declare("api", "web")
		b := start(m)
		defer b.Close()
		step := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		if s := b.Stats(10 * time.Second); s.Total.Requests != 0 || s.Total.HitRatio != nil || s.Last != nil || len(s.Routes) != 0 {
			t.Errorf("before the first request: %+v", s)
		}
		for range 80 {
			finish(m, "api", observe.CacheHit, 200, 100*time.Microsecond, 1000)
		}
		for range 20 {
			finish(m, "api", observe.CacheMiss, 200, 50*time.Millisecond, 1000)
		}
		finish(m, "web", observe.CachePass, 503, 2*time.Second, 10)
		finish(m, "", observe.CacheNone, 404, time.Microsecond, 5)
		step(1500 * time.Millisecond)
		s := b.Stats(10 * time.Second)
		if s.Covered != 1 || s.Total.Requests != 102 || s.Total.PerSecond != 102 || *s.Total.HitRatio != 80.0/101 || s.Total.Errors != 1 {
			t.Errorf("%+v", s.Total)
		}
		if *s.Total.ByteHitRatio != 80_000.0/100_015 || s.Total.OriginRequests != 21 || s.Total.BytesFromOrigin != 20_010 {
			t.Errorf("%+v", s.Total)
		}
		if len(s.Routes) != 3 || s.Routes[0].Route != "api" || s.Routes[0].Cache["miss"] != 20 || s.Routes[1].Route == NoRoute == (s.Routes[2].Route == NoRoute) {
			t.Errorf("%+v", s.Routes)
		}
		if p := *s.Routes[0].P50; p < 0.08 || p > 0.12 {
			t.Errorf("the median is %v ms", p)
		}
		if p := *s.Routes[0].P99; p < 40 || p > 60 {
			t.Errorf("the 99th percentile is %v ms", p)
		}
		for _, c := range []struct {
			after, window time.Duration
			seen          bool
		}{
			{8 * time.Second, 10 * time.Second, true}, {5 * time.Second, 10 * time.Second, false}, {0, time.Minute, true},
			{4 * time.Minute, 5 * time.Minute, true}, {2 * time.Minute, 5 * time.Minute, false}, {0, time.Hour, true}, {50 * time.Minute, time.Hour, true},
			{10 * time.Minute, time.Hour, false},
		} {
			step(c.after)
			if got := b.Stats(c.window).Total.Requests; (got == 102) != c.seen || got != 102 && got != 0 {
				t.Errorf("%v after, %v: %d requests", c.after, c.window, got)
			}
		}
		if fine, coarse := len(b.fine.samples), len(b.coarse.samples); fine != fineCount || coarse != coarseCount {
			t.Errorf("%d and %d samples are kept", fine, coarse)
		}
	})
}

// TestHistory checks that the points of a series add up to the window, for all routes and for one.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := observe.NewMeter()
		m.Declare("api", "web")
		b := start(m)
		defer b.Close()
		time.Sleep(time.Millisecond)
		for i := range 600 {
			finish(m, "api", observe.CacheHit, 200, time.Duration(i+1)*time.Millisecond, 10)
			finish(m, "web", observe.CacheMiss, 200, time.Second, 10)
			time.Sleep(time.Second)
		}
		for _, c := range []struct {
			window time.Duration
			route  string
			points int
			want   uint64
		}{
			{time.Minute, "", 60, 120}, {5 * time.Minute, "api", 300, 300}, {10 * time.Minute, "web", 60, 600}, {time.Hour, "", 60, 1200}, {time.Minute, "none", 60, 0},
		} {
			s := b.History(c.window, c.route)
			var requests, buckets uint64
			for _, p := range s.Points {
				requests += p.Requests
				for _, l := range p.Latency {
					buckets += l[1]
					if l[0] > uint64(len(s.Bounds)) {
						t.Errorf("bucket %d of %d", l[0], len(s.Bounds))
					}
				}
			}
			if len(s.Points) != c.points || requests != c.want || buckets != requests {
				t.Errorf("%v of %q: %d points, %d requests, %d in buckets", c.window, c.route, len(s.Points), requests, buckets)
			}
		}
	})
}

// TestManyRoutes uses more routes than are kept. The quiet ones are counted together, and no
// request is lost.
func TestManyRoutes(t *testing.T) {
	m := observe.NewMeter()
	older := m.Read()
	for i := range 3 * keptRoutes {
		name := fmt.Sprintf("r%d", i)
		m.Declare(name)
		for range 1 + i%7 {
			finish(m, name, observe.CacheHit, 200, time.Millisecond, 1)
		}
	}
	newer := m.Read()
	s := difference(older, newer)
	f := s.total("")
	if len(s.routes) != keptRoutes || f.requests != newerRequests(newer) || s.total(OtherRoutes).requests == 0 {
		t.Errorf("%d routes, %d requests", len(s.routes), f.requests)
	}
	twice := joined([]*sample{s, s})
	if f := twice.total(""); len(twice.routes) != keptRoutes || f.requests != 2*newerRequests(newer) {
		t.Errorf("%d routes, %d requests", len(twice.routes), f.requests)
	}
}

func newerRequests(r observe.Reading) (n uint64) {
	for i := range r.Rows {
		n += r.Rows[i].Requests
	}
	return n
}

func slowRequest(s *Slow, took time.Duration, path string) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	s.Finish(&observe.Event{Start: time.Now().Add(-took), Took: took, Method: "GET", Route: "api", Host: "example.com", Status: 200, Cache: "miss", Err: fmt.Errorf("hunter2")}, r)
}

// TestSlow checks that the slowest requests of each minute are kept for an hour, without their
// queries.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSlow(time.Now)
		for i := range 1000 {
			slowRequest(s, time.Duration((i*7919)%1000)*time.Millisecond, "/a%2Fb/"+strings.Repeat("x", 300)+"?token=hunter2")
		}
		list := s.List()
		if len(list.Requests) != slowCount {
			t.Fatalf("%d are kept", len(list.Requests))
		}
		for _, r := range list.Requests {
			if r.Took < 984 || len(r.Path) > maxPath+len("…") || !strings.HasPrefix(r.Path, "/a%2Fb/") {
				t.Errorf("%+v", r)
			}
		}
		text, err := json.Marshal(list)
		if err != nil || strings.Contains(string(text), "hunter2") {
			t.Errorf("a secret is kept: %s %v", text, err)
		}
		for range 70 {
			time.Sleep(time.Minute)
			slowRequest(s, 20*time.Millisecond, "/")
			slowRequest(s, 9*time.Millisecond, "/quick")
		}
		if list := s.List(); len(list.Requests) > slowWindows || list.Requests[0].Took != 20 || list.Requests[len(list.Requests)-1].Took != 20 {
			t.Errorf("%d are kept after an hour", len(list.Requests))
		}
	})
}

// TestSlowNamesItsTrace checks that a slow request has a trace ID only if its trace was recorded.
func TestSlowNamesItsTrace(t *testing.T) {
	tracer := observe.NewTracer(noop.NewTracerProvider().Tracer(""), observe.TraceConfig{Slow: 50 * time.Millisecond})
	s := NewSlow(time.Now)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, took := range []time.Duration{100 * time.Millisecond, 20 * time.Millisecond} {
		e := &observe.Event{Start: time.Now(), Took: took, Method: "GET", Status: 200}
		tracer.Begin(e, r.Header, "/*")
		s.Finish(e, r)
		want := ""
		if took > 50*time.Millisecond {
			want = e.SpanContext().TraceID().String()
		}
		if got := s.List().Requests; !slices.ContainsFunc(got, func(r SlowRequest) bool { return r.Took == milliseconds(took) && r.TraceID == want }) {
			t.Errorf("of %v with the trace %q: %+v", took, want, got)
		}
	}
}

// TestSlowHits checks that a connection's hits do not allocate, and that slow ones are kept without
// queries.
func TestSlowHits(t *testing.T) {
	s := NewSlow(time.Now)
	h := &observe.Hit{Route: "api", Method: "GET", Status: 200, Head: []byte("GET /a?secret=1 HTTP/1.1\r\nHost: a\r\n\r\n"), Start: time.Now(), Took: 30 * time.Microsecond}
	if n := testing.AllocsPerRun(100, func() { s.Hit(h) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	h.Took = time.Second
	s.Hit(h)
	if list := s.List(); len(list.Requests) != 1 || list.Requests[0].Path != "/a" {
		t.Errorf("%+v", list)
	}
}

// TestAPI checks the status codes and the form of the responses.
func TestAPI(t *testing.T) {
	m := observe.NewMeter()
	b := start(m)
	defer b.Close()
	for path, want := range map[string]int{
		"/api/stats": 200, "/api/stats?window=1h": 200, "/api/stats?window=0s": 400, "/api/stats?window=2h": 400, "/api/stats?window=x": 400,
		"/api/stats/history": 200, "/api/stats/history?window=1s": 400, "/api/stats/history?route=x": 200, "/api/slow": 200, "/api/nothing": 404,
		"/api/stats/stream?window=x": 400,
	} {
		w := httptest.NewRecorder()
		b.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
		if w.Code == 200 && (!json.Valid(w.Body.Bytes()) || w.Header().Get("Cache-Control") != "no-store" || strings.Contains(w.Body.String(), ":null,\"routes\"")) {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
}

// TestStream checks that a stream sends an event at once and one a second, that closing the board
// ends all streams, and that their number is bounded.
func TestStream(t *testing.T) {
	m := observe.NewMeter()
	m.Declare("api")
	b := start(m)
	s := httptest.NewUnstartedServer(b.Handler())
	s.Config.ReadTimeout = 500 * time.Millisecond // does not apply to a stream
	s.Start()
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	open := func() *http.Response {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/stats/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	resp := open()
	lines := bufio.NewScanner(resp.Body)
	finish(m, "api", observe.CacheHit, 200, time.Millisecond, 1)
	events := 0
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var stats Stats
		if err := json.Unmarshal([]byte(data), &stats); err != nil {
			t.Fatal(err)
		}
		if events++; events >= 3 && stats.Total.Requests == 1 {
			break
		}
	}
	if events < 3 {
		t.Fatalf("%d events, then %v", events, lines.Err())
	}
	for range maxStreams - 1 {
		open()
	}
	if resp := open(); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one stream too many: %d", resp.StatusCode)
	}
	b.Close()
	for lines.Scan() {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the end of a stream: %v", err)
	}
}
