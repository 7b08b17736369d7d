package cache_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
)

// numbered answers with the number of the call.
func numbered(fields ...string) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) { Text(fmt.Sprint(n.Add(1)), fields...)(w, r) }
}

func TestStaleWhileRevalidateHasItsWindow(t *testing.T) {
	gate := NewGate(t)
	content := numbered("Cache-Control", "max-age=60, stale-while-revalidate=30")
	o := NewOrigin(t, content)
	g := Route(t, o.URL, cached)
	g.Get("/")
	o.Answer(func(w http.ResponseWriter, r *http.Request) { gate.Wait(); content(w, r) })
	g.Clock.Advance(89 * time.Second)
	for range 5 {
		r := g.Get("/")
		wantHit(t, r, "1")
		if r.Param("detail") != "stale-while-revalidate" || r.Param("ttl") != "-29" {
			t.Errorf("Cache-Status: %s", r.Header["Cache-Status"])
		}
	}
	gate.Came(t)
	wantCalls(t, o, 2)
	gate.Open()
	Eventually(t, "the refreshed response is served", func() bool { return g.Get("/").Body == "2" })
	Eventually(t, "the refresh has ended", func() bool { return g.Fills.Load() == 2 })
	wantCalls(t, o, 2)
	g.Clock.Advance(90 * time.Second) // the first second past the window
	r := g.Get("/")
	if r.Hit() || r.Body != "3" {
		t.Errorf("past the window: %q %s", r.Body, r.Header["Cache-Status"])
	}
}

func TestRefreshThatFailsLeavesTheStale(t *testing.T) {
	o := NewOrigin(t, numbered("Cache-Control", "max-age=60, stale-while-revalidate=30"))
	g := Route(t, o.URL, cached)
	g.Get("/")
	o.Answer(Status(503))
	g.Clock.Advance(70 * time.Second)
	wantHit(t, g.Get("/"), "1")
	Eventually(t, "the refresh has come", func() bool { return o.Calls() == 2 })
	for range 3 {
		wantHit(t, g.Get("/"), "1")
	}
	wantCalls(t, o, 2) // held down: not asked again at each use
}

func TestStaleIfError(t *testing.T) {
	for _, how := range []string{"503", "refused", "timeout"} {
		t.Run(how, func(t *testing.T) {
			gate := NewGate(t)
			o := NewOrigin(t, Text("old", "Cache-Control", "max-age=60, stale-if-error=100"))
			patience := "30s" // an origin that answers does so in time, however busy the machine is
			if how == "timeout" {
				patience = "300ms"
			}
			g := Start(t, "upstreams:\n  origin: {targets: ["+o.URL+"], timeouts: {connect: 30s, first_byte: "+patience+"}}\n"+
				"routes:\n  - name: all\n    match: {path: /*}\n    upstream: origin\n    cache: {enabled: true, early_refresh: 0}\n")
			g.Get("/")
			switch how {
			case "503":
				o.Answer(Status(503))
			case "timeout":
				o.Answer(func(http.ResponseWriter, *http.Request) { gate.Wait() })
			default:
				o.Server.Close()
			}
			g.Clock.Advance(159 * time.Second)
			r := g.Get("/")
			want(t, r, 200, "old")
			if r.Param("fwd") != "stale" || r.Param("ttl") != "-99" {
				t.Errorf("first: %s", r.Header["Cache-Status"])
			}
			asked := o.Calls()
			r = g.Get("/")
			wantHit(t, r, "old")
			if reason := map[string]string{"503": "origin-error", "refused": "origin-unreachable", "timeout": "origin-timeout"}[how]; r.Param("detail") != reason {
				t.Errorf("held down: %s, want detail %s", r.Header["Cache-Status"], reason)
			}
			if o.Calls() != asked {
				t.Error("an origin was asked again a moment after it failed")
			}
			if g.Get("/", "Cache-Control", "no-cache").Hit() {
				t.Error("a request that wants validation was answered without")
			}
			g.Clock.Advance(time.Second) // the window is over: not even held down it is served
			wanted := map[string]int{"503": 503, "refused": 502, "timeout": 504}[how]
			if r := g.Get("/"); r.Status != wanted {
				t.Errorf("past the window: %d %q", r.Status, r.Body)
			}
			gate.Open()
		})
	}
}

func TestHoldDownEnds(t *testing.T) {
	o := NewOrigin(t, Text("old", "Cache-Control", "max-age=60, stale-if-error=100"))
	g := Route(t, o.URL, cached)
	g.Get("/")
	g.Clock.Advance(70 * time.Second)
	o.Answer(Status(500))
	g.Get("/")
	g.Get("/")
	wantCalls(t, o, 2)
	o.Answer(Text("new", "Cache-Control", "max-age=60"))
	g.Clock.Advance(time.Second)
	wantHit(t, g.Get("/"), "old") // the call that finds out whether the origin is back runs in the background
	Eventually(t, "the refresh has ended", func() bool { return o.Calls() == 3 && g.Filling() == 0 })
	wantHit(t, g.Get("/"), "new")
}

func TestMustRevalidateIsNeverStale(t *testing.T) {
	o := NewOrigin(t, Text("old", "Cache-Control", "max-age=60, must-revalidate, stale-while-revalidate=100, stale-if-error=100"))
	g := Route(t, o.URL, cached)
	g.Get("/")
	o.Answer(Status(503))
	g.Clock.Advance(60 * time.Second)
	for range 2 {
		if r := g.Get("/", "Cache-Control", "max-stale=100"); r.Status != 503 {
			t.Errorf("%d %q", r.Status, r.Body)
		}
	}
}

func TestMaxStale(t *testing.T) {
	o := NewOrigin(t, Text("old", "Cache-Control", "max-age=60"))
	g := Route(t, o.URL, cached)
	g.Get("/")
	g.Clock.Advance(70 * time.Second)
	if r := g.Get("/", "Cache-Control", "max-stale=20"); !r.Hit() || r.Param("detail") != "max-stale" {
		t.Errorf("%s", r.Header["Cache-Status"])
	}
	if g.Get("/", "Cache-Control", "max-stale=5").Hit() {
		t.Error("more stale than the request allows")
	}
}

func TestExpiredKeyMakesOneConditionalCall(t *testing.T) {
	const clients = 50
	gate := NewGate(t)
	o := NewOrigin(t, Text("x", "Cache-Control", "max-age=60", "Etag", `"1"`))
	g := Route(t, o.URL, cached)
	g.Get("/")
	o.Answer(func(w http.ResponseWriter, r *http.Request) {
		gate.Wait()
		Status(304, "Etag", `"1"`, "Cache-Control", "max-age=60")(w, r)
	})
	g.Clock.Advance(61 * time.Second)
	var replies []<-chan *Response
	for range clients {
		replies = append(replies, g.Go("/"))
	}
	g.AwaitWaiting(clients - 1)
	gate.Open()
	collapsed := 0
	for _, c := range replies {
		r := g.Await(c)
		want(t, r, 200, "x")
		if r.Param("collapsed") == "true" {
			collapsed++
		}
	}
	wantCalls(t, o, 2)
	if collapsed != clients-1 || o.Seen(1).Header.Get("If-None-Match") != `"1"` {
		t.Errorf("%d collapsed; If-None-Match %q", collapsed, o.Seen(1).Header.Get("If-None-Match"))
	}
}

// TestSoftPurgeHoldsWhenTheClockIsPutBack: a response that a soft purge has made stale stays so, though the clock is then put back to before the purge.
func TestSoftPurgeHoldsWhenTheClockIsPutBack(t *testing.T) {
	origin := NewOrigin(t, Text("x", "Cache-Control", "max-age=600", "Surrogate-Key", "k"))
	g := Route(t, origin.URL, "cache: {enabled: true, early_refresh: 0, stale_while_revalidate: 1h}")
	g.Get("/a")
	g.Clock.Advance(10 * time.Second)
	r := httptest.NewRequest(http.MethodPost, "http://localhost/purge", strings.NewReader(`{"tag": "k", "soft": true}`))
	w := httptest.NewRecorder()
	g.Admin("", func(context.Context) error { return nil }).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("the purge: %d %s", w.Code, w.Body)
	}
	g.Clock.Advance(-time.Minute)
	if got := g.Get("/a"); !got.Hit() || got.Param("detail") != "stale-while-revalidate" {
		t.Errorf("after the purge: %s", got.Header.Get("Cache-Status"))
	}
}
