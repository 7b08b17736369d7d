package field

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
	"github.com/penstock/penstock/test/redistest"
)

// sized answers with n bytes, whose number the head tells or not.
func sized(n int, told bool, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(fields); i += 2 {
			w.Header().Set(fields[i], fields[i+1])
		}
		if told {
			w.Header().Set("Content-Length", fmt.Sprint(n))
		} else {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.WriteString(w, strings.Repeat("x", n)) // the client's going is not the origin's concern
	}
}

// TestCacheStatusClaimsOnlyWhatIsDone: what a parameter says of the first response holds by what the second request gets.
func TestCacheStatusClaimsOnlyWhatIsDone(t *testing.T) {
	const max = 64 << 10
	const fresh = "max-age=60"
	route := "cache: {enabled: true, stale_if_error: 10m}"
	for name, tt := range map[string]struct {
		route  string
		answer http.HandlerFunc
		stored bool // the second request gets it from the store
		claims bool
	}{
		"a size that is told":                    {route, sized(1000, true, "Cache-Control", fresh), true, true},
		"a size that is not told":                {route, unsized(1000, "Cache-Control", fresh), true, false},
		"it turns out to be too large":           {route, unsized(max+1, "Cache-Control", fresh), false, false},
		"as large as may be":                     {route, sized(max, true, "Cache-Control", fresh), true, true},
		"too large":                              {route, sized(max+1, true, "Cache-Control", fresh), false, false},
		"private":                                {route, sized(1000, true, "Cache-Control", "private"), false, false},
		"nothing is told of it":                  {route, sized(1000, true), false, false},
		"no content":                             {route, gatewaytest.Status(http.StatusNoContent, "Cache-Control", fresh), true, true},
		"coded on the way":                       {route + "\ncompress: {min_size: 1}", sized(1000, true, "Cache-Control", fresh), true, true},
		"coded on the way, a size is not told":   {route + "\ncompress: {min_size: 1}", unsized(max+1, "Cache-Control", fresh), false, false},
		"an error page in its place":             {route + "\nerrors: [{status: [404], body: sorry, cache_for: 60s}]", gatewaytest.Status(http.StatusNotFound), true, true},
		"an error page that is not to be stored": {route + "\nerrors: [{status: [404], body: sorry}]", gatewaytest.Status(http.StatusNotFound), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := gatewaytest.NewOrigin(t, tt.answer)
			g := gatewaytest.Start(t, "cache: {memory: {size: 64MiB, max_object: 64KiB}}\nupstreams:\n  origin: {targets: ["+o.URL+"]}\nroutes:\n  - name: all\n    match: {path: /*}\n    upstream: origin\n    "+
				strings.ReplaceAll(tt.route, "\n", "\n    ")+"\n")
			first := g.Get("/p", "Accept-Encoding", "gzip")
			ev := g.Event()
			second := g.Get("/p", "Accept-Encoding", "gzip")
			if second.Hit() != tt.stored {
				t.Errorf("stored %v, want %v: %s", second.Hit(), tt.stored, second.Header.Get("Cache-Status"))
			}
			if claims := first.Param("stored") == "true"; claims != tt.claims {
				t.Errorf("it claims %v, want %v: %s", claims, tt.claims, first.Header.Get("Cache-Status"))
			}
			if ev.Stored != tt.stored {
				t.Errorf("the event says %v", ev.Stored)
			}
			if first.Hit() || first.Param("collapsed") != "" {
				t.Errorf("of a single call: %s", first.Header.Get("Cache-Status"))
			}
		})
	}
}

// unsized is sized for a body whose size the head does not tell.
func unsized(n int, fields ...string) http.HandlerFunc { return sized(n, false, fields...) }

// TestCacheStatusTellsTheOriginsStatus: fwd-status is what the origin has answered, whatever takes the place of it; without an answer there is none.
func TestCacheStatusTellsTheOriginsStatus(t *testing.T) {
	pages := "\nerrors: [{status: [404, 502], body: sorry, as: 200, cache_for: 5s}]"
	for name, tt := range map[string]struct {
		route  string
		before http.HandlerFunc
		answer http.HandlerFunc
		want   string
		fwd    string
		hit    bool
	}{
		"a page in the place of a 404":       {pages, nil, gatewaytest.Status(404), "404", "uri-miss", false},
		"a page in the place of no answer":   {pages, nil, broken, "", "uri-miss", false},
		"no answer":                          {"", nil, broken, "", "uri-miss", false},
		"an error":                           {"", nil, gatewaytest.Status(500), "500", "uri-miss", false},
		"a stale copy in the place of a 503": {"", gatewaytest.Text("old", "Cache-Control", "max-age=1"), gatewaytest.Status(503), "503", "stale", false},
		"a stale copy in the place of none":  {"", gatewaytest.Text("old", "Cache-Control", "max-age=1"), broken, "", "stale", false},
		"validated":                          {"", gatewaytest.Text("old", "Cache-Control", "max-age=1", "Etag", `"1"`), gatewaytest.Status(304, "Cache-Control", "max-age=1", "Etag", `"1"`), "304", "stale", false},
		"a hit":                              {"", gatewaytest.Text("old", "Cache-Control", "max-age=100"), broken, "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			o := gatewaytest.NewOrigin(t, tt.answer)
			g := gatewaytest.Route(t, o.URL, "cache: {enabled: true, stale_if_error: 10m}"+tt.route)
			if tt.before != nil {
				o.Answer(tt.before)
				g.Get("/p")
				o.Answer(tt.answer)
				g.Clock.Advance(10 * time.Second)
			}
			r := g.Get("/p")
			if r.Param("fwd-status") != tt.want || r.Param("fwd") != tt.fwd || r.Hit() != tt.hit {
				t.Errorf("%d %s, want fwd=%s fwd-status=%s hit %v", r.Status, r.Header.Get("Cache-Status"), tt.fwd, tt.want, tt.hit)
			}
		})
	}
}

// TestExplainAsksRedisWithoutCounting: explanations of what only the shared tier has change no figure of the cache.
func TestExplainAsksRedisWithoutCounting(t *testing.T) {
	o := gatewaytest.NewOrigin(t, gatewaytest.Text("content", "Cache-Control", "max-age=60"))
	g := gatewaytest.Start(t, fmt.Sprintf("cache: {redis: {url: %q, timeout: 5s}}\nupstreams: {origin: {targets: [%s]}}\nroutes:\n  - name: all\n    match: {path: /*}\n    upstream: origin\n"+
		"    cache: {enabled: true, tiers: [redis]}\n", redistest.Start(t).URL(), o.URL))
	g.Preload(context.Background())
	gatewaytest.Eventually(t, "the response is in Redis", func() bool { return g.Get("/a").Hit() })
	figures := func() string {
		_, text := admin(t, g, "", "GET", "/metrics", "")
		var lines []string
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "penstock_cache_") || strings.Contains(line, "lookups") || strings.HasPrefix(line, "penstock_requests_total") || strings.HasPrefix(line, "penstock_upstream_requests_total") {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "")
	}
	before, calls := figures(), o.Calls()
	for _, path := range []string{"/a", "/b"} {
		for range 5 {
			status, body := adminPost(t, g, "/explain", `{"url": "http://`+g.Addr+path+`"}`)
			if status != 200 || strings.Contains(body, `"redis"`) != (path == "/a") {
				t.Fatalf("%s: %d %s", path, status, body)
			}
		}
	}
	if after := figures(); after != before || o.Calls() != calls {
		t.Errorf("%d calls, before %d; before:\n%s\nafter:\n%s", o.Calls(), calls, before, after)
	}
}
