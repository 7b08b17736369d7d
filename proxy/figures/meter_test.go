package figures_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/observe"
	. "github.com/penstock/penstock/test/gatewaytest"
)

const meteredRoutes = `
routes:
  - name: cached
    match: {path: /c/*}
    upstream: origin
    compress: {enabled: true, min_size: 100}
    cache: {enabled: true, early_refresh: 0}
  - name: plain
    match: {path: /p/*}
    upstream: origin
`

// rows are the figures that g has counted, without latencies.
func rows(g *Gateway) map[observe.Series]observe.Counts {
	out := make(map[observe.Series]observe.Counts)
	for _, row := range g.Meter().Read().Rows {
		row.Latency = observe.Histogram{}
		out[row.Series] = row.Counts
	}
	return out
}

// awaitRow waits until the figures of s satisfy ok: a request is counted a moment after its answer.
func awaitRow(t *testing.T, g *Gateway, s observe.Series, ok func(observe.Counts) bool) observe.Counts {
	t.Helper()
	Eventually(t, fmt.Sprintf("%+v is counted (it is %+v)", s, rows(g)), func() bool { return ok(rows(g)[s]) })
	return rows(g)[s]
}

func requests(n uint64) func(observe.Counts) bool {
	return func(c observe.Counts) bool { return c.Requests >= n }
}

func TestEachRequestIsCountedByWhatTheCacheDid(t *testing.T) {
	content := strings.Repeat("penstock ", 200) // 1800 bytes
	gate := NewGate(t)
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("If-None-Match") != "":
			w.WriteHeader(http.StatusNotModified)
			return
		case r.URL.Path == "/c/slow":
			gate.Wait()
		case r.URL.Path == "/c/private":
			w.Header().Set("Cache-Control", "private")
		}
		if w.Header().Get("Cache-Control") == "" {
			w.Header().Set("Cache-Control", "max-age=60, stale-while-revalidate="+r.URL.Query().Get("swr"))
		}
		w.Header().Set("Etag", `"1"`)
		Text(content)(w, r)
	})
	g := Start(t, "cache: {memory: {size: 64MiB, max_object: 1MiB}}\nupstreams:\n  origin: {targets: ["+o.URL+"]}\n"+meteredRoutes)
	cached := func(cache string) observe.Series {
		return observe.Series{Route: "cached", Method: "GET", Status: "2xx", Cache: cache}
	}

	g.Get("/c/a?swr=0")
	miss := awaitRow(t, g, cached("miss"), func(c observe.Counts) bool { return c.Requests == 1 && c.OriginRequests == 1 })
	if miss.BytesFromOrigin != 1800 || miss.BytesOut != 1800 || miss.BytesSavedByCache != 0 || miss.BytesIn < 50 {
		t.Errorf("the miss: %+v", miss)
	}
	g.Get("/c/a?swr=0")
	if hit := awaitRow(t, g, cached("hit"), requests(1)); hit.BytesOut != 1800 || hit.BytesSavedByCache != 1800 || hit.OriginRequests != 0 {
		t.Errorf("the hit: %+v", hit)
	}
	short := uint64(len(g.Get("/c/a?swr=0", "Accept-Encoding", "gzip").Body))
	if hit := awaitRow(t, g, cached("hit"), requests(2)); hit.BytesOut != 1800+short || hit.BytesSavedByCompression != 1800-short {
		t.Errorf("the hit under gzip, of %d bytes: %+v", short, hit)
	}
	g.Clock.Advance(61 * time.Second)
	g.Get("/c/a?swr=0")
	if c := awaitRow(t, g, cached("revalidated"), requests(1)); c.BytesSavedByCache != 1800 || c.BytesFromOrigin != 0 {
		t.Errorf("the revalidation: %+v", c)
	}

	g.Get("/c/b?swr=100")
	awaitRow(t, g, cached("miss"), requests(2))
	g.Clock.Advance(61 * time.Second)
	g.Get("/c/b?swr=100")
	awaitRow(t, g, cached("refreshed"), requests(1))
	Eventually(t, "the refresh is counted", func() bool {
		var calls uint64
		for s, c := range rows(g) {
			if s.Cache == "refreshed" {
				calls += c.OriginRequests
			}
		}
		return calls == 1
	})

	leader := g.Go("/c/slow")
	gate.Came(t)
	follower := g.Go("/c/slow")
	g.AwaitWaiting(1)
	gate.Open()
	g.Await(leader)
	g.Await(follower)
	if c := awaitRow(t, g, cached("collapsed"), requests(1)); c.BytesSavedByCache != 1800 || c.OriginRequests != 0 {
		t.Errorf("the follower: %+v", c)
	}

	g.Get("/c/private", "Accept-Encoding", "gzip")
	awaitRow(t, g, cached("miss"), func(c observe.Counts) bool {
		return c.Requests == 4 && c.OriginRequests == 4 && c.BytesFromOrigin == 4*1800 && c.BytesSavedByCompression > 1000
	})
	g.Do("POST", "/p/x", strings.NewReader("0123456789"))
	if c := awaitRow(t, g, observe.Series{Route: "plain", Method: "POST", Status: "2xx", Cache: "pass"}, requests(1)); c.BytesIn < 60 || c.OriginRequests != 1 || c.BytesFromOrigin != 1800 {
		t.Errorf("the POST: %+v", c)
	}
	g.Do("BREW", "/nowhere", nil)
	if c := awaitRow(t, g, observe.Series{Method: "other", Status: "4xx", Cache: "none"}, requests(1)); c.BytesOut == 0 {
		t.Errorf("the request without a route: %+v", c)
	}
}

func TestAFailureThatIsAnsweredFromTheStoreCountsAsStale(t *testing.T) {
	o := NewOrigin(t, Text("old", "Cache-Control", "max-age=60, stale-if-error=100"))
	g := Start(t, "upstreams:\n  origin: {targets: ["+o.URL+"]}\n"+meteredRoutes)
	g.Get("/c/")
	o.Answer(Status(503))
	g.Clock.Advance(61 * time.Second)
	g.Get("/c/")
	awaitRow(t, g, observe.Series{Route: "cached", Method: "GET", Status: "2xx", Cache: "stale"}, requests(1))
}

func TestAReloadKeepsTheFigures(t *testing.T) {
	o := NewOrigin(t, Text("x"))
	text := "version: 1\nupstreams:\n  origin: {targets: [" + o.URL + "]}\n" + meteredRoutes
	g := Start(t, strings.TrimPrefix(text, "version: 1\n"))
	plain := observe.Series{Route: "plain", Method: "GET", Status: "2xx", Cache: "pass"}
	g.Get("/p/")
	awaitRow(t, g, plain, requests(1))
	next, err := config.Parse("gateway.yaml", []byte(text+"  - name: third\n    match: {path: /t/*}\n    upstream: origin\n"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Apply(next); err != nil {
		t.Fatal(err)
	}
	g.Get("/p/")
	g.Get("/t/")
	awaitRow(t, g, plain, requests(2))
	awaitRow(t, g, observe.Series{Route: "third", Method: "GET", Status: "2xx", Cache: "pass"}, requests(1))
}
