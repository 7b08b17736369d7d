package observe

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// totals returns the figures of m by series, without the latencies.
func totals(m *Meter) map[Series]Counts {
	out := make(map[Series]Counts)
	for _, row := range m.Read().Rows {
		row.Latency = Histogram{}
		out[row.Series] = row.Counts
	}
	return out
}

func TestMeterCounts(t *testing.T) {
	m := NewMeter()
	m.Declare("api")
	m.Finish(&Event{
		Route: "api", Method: "GET", Status: 200, Cache: CacheMiss, Took: 20 * time.Millisecond,
		BytesIn: 100, BytesOut: 400, BytesSaved: 600, BytesFromOrigin: 1000, OriginRequests: 1,
	}, nil)
	m.Finish(&Event{Route: "api", Method: "GET", Status: 200, Cache: CacheCollapsed, BytesIn: 100, BytesOut: 400}, nil)
	m.Finish(&Event{Route: "api", Method: "POST", Status: 204, Cache: CachePass, BytesIn: 300, OriginRequests: 1}, nil)
	m.Finish(&Event{Method: "BREW", Status: 404, BytesIn: 50, BytesOut: 20}, nil)
	m.Finish(&Event{Route: "api", Method: "GET"}, nil) // its client left
	m.Hit(&Hit{Route: "api", Method: "GET", Status: 200, BytesIn: 90, BytesOut: 400, BytesSaved: 600, Took: 5 * time.Microsecond})
	m.Fill(&Event{Route: "api", Method: "GET", Status: 200, Cache: CacheRefreshed, OriginRequests: 1, BytesFromOrigin: 1000, Took: time.Hour})
	want := map[Series]Counts{
		{"api", "GET", "2xx", CacheMiss}: {
			Requests: 1, BytesIn: 100, BytesOut: 400, BytesSavedByCompression: 600, BytesFromOrigin: 1000, OriginRequests: 1,
		},
		{"api", "GET", "2xx", CacheCollapsed}: {Requests: 1, BytesIn: 100, BytesOut: 400, BytesSavedByCache: 400},
		{"api", "POST", "2xx", CachePass}:     {Requests: 1, BytesIn: 300, OriginRequests: 1},
		{"", "other", "4xx", CacheNone}:       {Requests: 1, BytesIn: 50, BytesOut: 20},
		{"api", "GET", "none", CacheNone}:     {Requests: 1},
		{"api", "GET", "2xx", CacheHit}: {
			Requests: 1, BytesIn: 90, BytesOut: 400, BytesSavedByCompression: 600, BytesSavedByCache: 400,
		},
		{"api", "GET", "2xx", CacheRefreshed}: {BytesFromOrigin: 1000, OriginRequests: 1},
	}
	got := totals(m)
	for s, c := range want {
		if got[s] != c {
			t.Errorf("%v: %+v, want %+v", s, got[s], c)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d series, want %d", len(got), len(want))
	}
	for _, row := range m.Read().Rows {
		if row.Cache == CacheMiss && (row.Latency.Sum != 20*time.Millisecond || row.Latency.Buckets[bucketOf(20*time.Millisecond)] != 1) {
			t.Errorf("the latency of the miss is %+v", row.Latency)
		}
	}
}

// TestClientsCannotMakeSeries checks that requests with any words fall into series whose number the
// configuration bounds.
func TestClientsCannotMakeSeries(t *testing.T) {
	m := NewMeter()
	m.Declare("a", "b")
	rapid.Check(t, func(t *rapid.T) {
		word := func(name string) string {
			return rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"a", "b", "GET", "HEAD", CacheHit, CacheMiss})).Draw(t, name)
		}
		m.Finish(&Event{Route: word("route"), Method: word("method"), Status: rapid.Int().Draw(t, "status"), Cache: word("cache")}, nil)
	})
	for _, row := range m.Read().Rows {
		if !slices.Contains([]string{"", "a", "b"}, row.Route) || !slices.Contains(methodWords[:], row.Method) ||
			!slices.Contains(statusWords[:], row.Status) || !slices.Contains(cacheWords[:], row.Cache) {
			t.Errorf("there is a series %+v", row.Series)
		}
	}
}

func TestDeclareKeepsCounts(t *testing.T) {
	m := NewMeter()
	m.Declare("a")
	m.Finish(&Event{Route: "a", Method: "GET", Status: 200, Cache: CacheHit}, nil)
	m.Declare("a", "b")
	m.Finish(&Event{Route: "a", Method: "GET", Status: 200, Cache: CacheHit}, nil)
	if got := totals(m)[Series{"a", "GET", "2xx", CacheHit}].Requests; got != 2 {
		t.Errorf("%d requests, want 2", got)
	}
	names := make([]string, maxRoutes+10)
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	m.Declare(names...)
	if n := len(*m.routes.Load()); n > maxRoutes+1 {
		t.Errorf("%d routes are counted apart, more than %d", n, maxRoutes)
	}
}

func TestConcurrentCountsAreComplete(t *testing.T) {
	m := NewMeter()
	m.Declare("a")
	const workers, each = 8, 2000
	var done sync.WaitGroup
	for w := range workers {
		done.Go(func() {
			h := Hit{Route: "a", Method: "GET", Status: 200, BytesIn: 1, BytesOut: 2, Took: time.Millisecond, Shard: uint32(w)}
			e := Event{Route: "a", Method: "GET", Status: 200, Cache: CacheHit, BytesIn: 1, BytesOut: 2, Took: time.Millisecond}
			for range each {
				m.Hit(&h)
				m.Finish(&e, nil)
			}
		})
	}
	for range 100 {
		m.Read()
	}
	done.Wait()
	got := totals(m)[Series{"a", "GET", "2xx", CacheHit}]
	if want := uint64(2 * workers * each); got.Requests != want || got.BytesIn != want || got.BytesOut != 2*want {
		t.Errorf("%+v, want %d requests", got, want)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	m := NewMeter()
	m.Declare("a")
	h := Hit{Route: "a", Method: "GET", Status: 200, BytesIn: 1, BytesOut: 2, Took: time.Millisecond}
	e := Event{Route: "a", Method: "POST", Status: 200, Cache: CachePass, OriginRequests: 1, BytesFromOrigin: 1}
	sink := Tee(m, nil)
	if n := testing.AllocsPerRun(100, func() { sink.Hit(&h) }); n != 0 {
		t.Errorf("a hit takes %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { sink.Finish(&e, nil) }); n != 0 {
		t.Errorf("a request takes %v allocations", n)
	}
}

// fillsOnly is a Sink that receives only fills.
type fillsOnly struct{ n int }

func (*fillsOnly) Finish(*Event, *http.Request) {}
func (*fillsOnly) Hit(*Hit)                     {}
func (f *fillsOnly) Fill(*Event)                { f.n++ }

func TestTeePassesFillsToFillers(t *testing.T) {
	f := new(fillsOnly)
	Tee(f, nil, struct{ Sink }{f}, f).(Filler).Fill(new(Event))
	if f.n != 2 {
		t.Errorf("it was told %d times, want 2", f.n)
	}
}

func BenchmarkMeterHit(b *testing.B) {
	m := NewMeter()
	m.Declare("catalogue", "api", "static")
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		h := Hit{Route: "catalogue", Method: "GET", Status: 200, BytesIn: 100, BytesOut: 1024, Took: 5 * time.Microsecond}
		for p.Next() {
			m.Hit(&h)
		}
	})
}

func BenchmarkMeterRead(b *testing.B) {
	m := NewMeter()
	for i := range 100 {
		name := fmt.Sprint("route", i)
		m.Declare(name)
		for _, c := range cacheWords {
			m.Finish(&Event{Route: name, Method: "GET", Status: 200, Cache: c}, nil)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Read()
	}
}
