package field

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
)

// shell is an origin whose only page is /index.html, in a version that the test sets.
func shell(t *testing.T, version *atomic.Int64, fields ...string) *gatewaytest.Origin {
	return gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path != "/index.html" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		for i := 0; i+1 < len(fields); i += 2 {
			w.Header().Set(fields[i], fields[i+1])
		}
		w.Header().Set("Surrogate-Key", "shell")
		_, _ = w.Write([]byte("v" + string(rune('0'+version.Load()))))
	})
}

const servedShell = "cache: {enabled: true}\nerrors: [{status: [404], serve: /index.html, as: 200, cache_for: 300s}]"

// Every form of purge reaches a custom error page: the page itself, which other URLs get from now on, and the responses that it stands for.
func TestPurgeReachesErrorPages(t *testing.T) {
	cases := map[string]string{
		"all":          `{"all": true}`,
		"all, soft":    `{"all": true, "soft": true}`,
		"route":        `{"route": "all"}`,
		"route, soft":  `{"route": "all", "soft": true}`,
		"tag":          `{"tag": "shell"}`,
		"tag, soft":    `{"tag": "shell", "soft": true}`,
		"host":         `{"host": "shop.example"}`,
		"prefix":       `{"prefix": "shop.example/index"}`,
		"prefix, soft": `{"prefix": "shop.example/index", "soft": true}`,
		"URL":          `{"url": "http://shop.example/index.html"}`,
		"URL, soft":    `{"url": "http://shop.example/index.html", "soft": true}`,
	}
	for name, body := range cases {
		t.Run(name, func(t *testing.T) {
			var version atomic.Int64
			version.Store(1)
			origin := shell(t, &version)
			g := gatewaytest.Route(t, origin.URL, servedShell)
			for range 2 {
				if r := g.Get("/some/page", "Host", "shop.example"); r.Status != 200 || r.Body != "v1" {
					t.Fatalf("before the purge: %d %q", r.Status, r.Body)
				}
			}
			version.Store(2)
			purge(t, g, body)
			for _, path := range []string{"/new/page", "/some/page", "/index.html"} {
				if r := g.Get(path, "Host", "shop.example"); r.Status != 200 || r.Body != "v2" {
					t.Errorf("%s after the purge: %d %q", path, r.Status, r.Body)
				}
			}
			version.Store(3)
			g.Clock.Advance(301 * time.Second)
			if r := g.Get("/other/page", "Host", "shop.example"); r.Body != "v3" {
				t.Errorf("after cache_for: %q", r.Body)
			}
		})
	}
}

// A copy of the page is kept for cache_for in all, however many URLs it is served for.
func TestErrorPageIsKeptForItsTime(t *testing.T) {
	var version atomic.Int64
	version.Store(1)
	origin := shell(t, &version)
	g := gatewaytest.Route(t, origin.URL, servedShell)
	g.Get("/a")
	g.Clock.Advance(200 * time.Second)
	version.Store(2)
	if r := g.Get("/b"); r.Body != "v1" {
		t.Errorf("within cache_for: %q", r.Body)
	}
	if n := origin.Calls(); n != 3 {
		t.Errorf("two errors and a page cost %d calls", n)
	}
	g.Clock.Advance(101 * time.Second)
	for _, path := range []string{"/a", "/b"} {
		if r := g.Get(path); r.Body != "v2" {
			t.Errorf("%s after cache_for: %q", path, r.Body)
		}
	}
}

// A client gets an error page with the page's own fields, on a miss, a hit and a HEAD; its conditions are answered by the page's own validators.
func TestErrorPageKeepsItsFields(t *testing.T) {
	own := []string{"Cache-Control", "no-cache", "Etag", `"s1"`, "Vary", "Accept-Language", "Last-Modified", "Mon, 02 Jan 2023 03:04:05 GMT", "Content-Language", "en", "Link", "</a.css>; rel=preload"}
	routes := map[string]string{
		"cached":            servedShell,
		"not cached":        "errors: [{status: [404], serve: /index.html, as: 200}]\n",
		"cached, not kept":  "cache: {enabled: true}\nerrors: [{status: [404], serve: /index.html, as: 200}]",
		"under its own 404": "cache: {enabled: true}\nerrors: [{status: [404], serve: /index.html, cache_for: 300s}]",
	}
	for name, route := range routes {
		t.Run(name, func(t *testing.T) {
			var version atomic.Int64
			version.Store(1)
			g := gatewaytest.Route(t, shell(t, &version, own...).URL, route)
			status := 200
			if strings.Contains(name, "404") {
				status = 404
			}
			for _, method := range []string{"GET", "GET", "HEAD"} {
				r := g.Do(method, "/some/page", nil)
				if r.Status != status {
					t.Errorf("%s: %d", method, r.Status)
				}
				for i := 0; i < len(own); i += 2 {
					if got := strings.Join(r.Header[own[i]], ", "); got != own[i+1] {
						t.Errorf("%s: %s: %q, want %q", method, own[i], got, own[i+1])
					}
				}
			}
			for _, path := range []string{"/some/page", "/new/page"} {
				r := g.Get(path, "If-None-Match", `"s1"`)
				if want := map[int]int{200: 304, 404: 404}[status]; r.Status != want {
					t.Errorf("%s, If-None-Match: %d, want %d", path, r.Status, want)
				}
				if r := g.Get(path, "If-None-Match", `"s0"`); r.Status != status || r.Body != "v1" {
					t.Errorf("%s, another tag: %d %q", path, r.Status, r.Body)
				}
			}
		})
	}
}

// An entry's cache_control takes the place of the page's own; a body from the configuration has none.
func TestErrorPageWithCacheControlOfItsOwn(t *testing.T) {
	var version atomic.Int64
	version.Store(1)
	origin := shell(t, &version, "Cache-Control", "max-age=86400", "Expires", "Thu, 01 Jan 2099 00:00:00 GMT")
	g := gatewaytest.Route(t, origin.URL, `cache: {enabled: true}
errors: [{status: [404], serve: /index.html, as: 200, cache_for: 300s, cache_control: "max-age=5"}, {status: [410], body: gone, cache_for: 10s}]`)
	for range 2 {
		r := g.Get("/some/page")
		if got := r.Header.Get("Cache-Control"); got != "max-age=5" || r.Header.Get("Expires") != "" {
			t.Errorf("Cache-Control: %q, Expires: %q", got, r.Header.Get("Expires"))
		}
	}
}
