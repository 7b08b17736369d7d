package cache_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
)

// answering answers unsafe methods with h and the others with get.
func answering(get, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" || r.Method == "HEAD" {
			get(w, r)
			return
		}
		h(w, r)
	}
}

func TestUnsafeMethodsInvalidate(t *testing.T) {
	for _, tt := range []struct {
		name, method, path string
		answer             http.HandlerFunc
		stale              []string // of /a, /b and /c
	}{
		{"own URL", "POST", "/a", Status(200), []string{"/a"}},
		{"own URL, unknown method", "FROB", "/a", Status(204), []string{"/a"}},
		{"Location", "POST", "/x", Status(201, "Location", "/b"), []string{"/b"}},
		{"Content-Location", "PUT", "/a", Status(200, "Content-Location", "/c"), []string{"/a", "/c"}},
		{"another origin", "PUT", "/x", Status(201, "Location", "http://other.example/b"), nil},
		{"failed", "DELETE", "/a", Status(500), nil},
		{"refused", "DELETE", "/a", Status(403, "Location", "/b"), nil},
		{"safe", "OPTIONS", "/a", Status(200), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := NewOrigin(t, answering(Text("x", "Cache-Control", "max-age=60"), tt.answer))
			g := Route(t, o.URL, cached)
			for _, path := range []string{"/a", "/b", "/c"} {
				g.Get(path)
			}
			g.Do(tt.method, tt.path, nil)
			for _, path := range []string{"/a", "/b", "/c"} {
				stale := strings.Contains(strings.Join(tt.stale, " "), path)
				if r := g.Get(path); r.Hit() == stale {
					t.Errorf("%s: %s", path, r.Header["Cache-Status"])
				}
			}
		})
	}
}

func TestWriteOnAnotherRouteInvalidates(t *testing.T) {
	o := NewOrigin(t, answering(Text("x", "Cache-Control", "max-age=60"), Status(200)))
	g := Start(t, "upstreams:\n  origin: {targets: ["+o.URL+"]}\nroutes:\n"+
		"  - {name: reads, match: {path: /*, methods: [GET]}, upstream: origin, cache: {enabled: true}}\n"+
		"  - {name: writes, match: {path: /*, methods: [POST]}, upstream: origin}\n")
	g.Get("/a")
	wantHit(t, g.Get("/a"), "x")
	g.Do("POST", "/a", strings.NewReader("change"))
	if g.Get("/a").Hit() {
		t.Error("a route without a cache changed it, and the other route served the old response")
	}
}

func TestWriteDuringAFill(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, answering(halves(gate, "old,", "old", "Cache-Control", "max-age=60"), Status(204)))
	g := Route(t, o.URL, cached)
	leader := open(t, g, "/")
	readSome(t, leader.Body, 4)
	g.Do("DELETE", "/", nil)
	o.Answer(Text("new", "Cache-Control", "max-age=60"))
	r := g.Get("/") // must not read along what was fetched before the change
	want(t, r, 200, "new")
	if r.Param("collapsed") != "" {
		t.Errorf("%s", r.Header["Cache-Status"])
	}
	gate.Open()
	if got := readSome(t, leader.Body, 3); got != "old" {
		t.Errorf("the leader got %q", got)
	}
	leader.Body.Close()
	g.Event()
	wantHit(t, g.Get("/"), "new")
}

func TestWriteDuringARefresh(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, Text("old", "Cache-Control", "max-age=60, stale-while-revalidate=60", "Etag", `"1"`))
	g := Route(t, o.URL, cached)
	g.Get("/")
	g.Clock.Advance(70 * time.Second)
	o.Answer(answering(gated(gate, Status(304, "Etag", `"1"`, "Cache-Control", "max-age=60")), Status(204)))
	wantHit(t, g.Get("/"), "old")
	gate.Came(t)
	g.Do("PUT", "/", nil)
	o.Answer(Text("new", "Cache-Control", "max-age=60"))
	gate.Open()
	want(t, g.Get("/"), 200, "new")
	for range 3 {
		wantHit(t, g.Get("/"), "new")
	}
}

func TestPostThatBringsWhatAGetWould(t *testing.T) {
	o := NewOrigin(t, answering(Text("old", "Cache-Control", "max-age=60"), func(w http.ResponseWriter, r *http.Request) {
		Text("posted", "Cache-Control", "max-age=60", "Content-Location", r.URL.Path)(w, r)
	}))
	g := Route(t, o.URL, cached)
	g.Get("/a")
	want(t, g.Do("POST", "/a", strings.NewReader("x")), 200, "posted")
	wantHit(t, g.Get("/a"), "posted")
	wantCalls(t, o, 2)
}
