package cache_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
)

func TestErrorPageOfItsOwnBody(t *testing.T) {
	o := NewOrigin(t, Status(503, "Etag", `"e"`))
	g := Route(t, o.URL, cached+"\nerrors:\n  - {status: [502, 503, 504], body: '{\"sorry\":true}', content_type: application/json}")
	for range 2 {
		r := g.Get("/")
		want(t, r, 503, `{"sorry":true}`)
		if r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Etag") != "" {
			t.Errorf("%v", r.Header)
		}
	}
	wantCalls(t, o, 2)
	want(t, g.Do("POST", "/", strings.NewReader("x")), 503, `{"sorry":true}`)
	o.Server.Close()
	want(t, g.Get("/"), 502, `{"sorry":true}`)
}

func TestErrorPageThatIsServed(t *testing.T) {
	pages := 0
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/index.html" {
			w.WriteHeader(404)
			return
		}
		pages++
		Text("<app>", "Content-Type", "text/html", "Etag", `"index"`)(w, r)
	})
	g := Route(t, o.URL, cached+"\nerrors:\n  - {status: [404], serve: /index.html, as: 200, cache_for: 300s}")
	for _, path := range []string{"/a", "/b"} {
		r := g.Get(path)
		want(t, r, 200, "<app>")
		if r.Header.Get("Content-Type") != "text/html" || r.Header.Get("Etag") != `"index"` || r.Header.Get("Cache-Control") != "" {
			t.Errorf("%v", r.Header)
		}
		wantHit(t, g.Get(path), "<app>")
	}
	if pages != 1 {
		t.Errorf("the page was fetched %d times", pages)
	}
	g.Clock.Advance(301 * time.Second)
	want(t, g.Get("/a"), 200, "<app>")
	if pages != 2 {
		t.Errorf("the page was fetched %d times, its time being over", pages)
	}
}

func TestErrorPageThatFailsLeavesTheError(t *testing.T) {
	o := NewOrigin(t, Status(404, "X-Own", "1"))
	g := Route(t, o.URL, cached+"\nerrors:\n  - {status: [404], serve: /index.html, as: 200}")
	for range 3 {
		if r := g.Get("/a"); r.Status != 404 || r.Header.Get("X-Own") != "1" {
			t.Errorf("%d %v", r.Status, r.Header)
		}
	}
	wantCalls(t, o, 4) // the page is not asked for again at each error
}

func TestStaleGoesBeforeAnErrorPage(t *testing.T) {
	o := NewOrigin(t, Text("old", "Cache-Control", "max-age=60, stale-if-error=60"))
	g := Route(t, o.URL, cached+"\nerrors:\n  - {status: [503], body: sorry}")
	g.Get("/")
	o.Answer(Status(503))
	g.Clock.Advance(70 * time.Second)
	want(t, g.Get("/"), 200, "old")
	g.Clock.Advance(60 * time.Second)
	want(t, g.Get("/"), 503, "sorry")
}
