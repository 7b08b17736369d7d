package cache_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
)

// TestQualifiedFieldsAreForTheOneWhoAsked: what private="…" or no-cache="…" names is neither stored nor given to others.
func TestQualifiedFieldsAreForTheOneWhoAsked(t *testing.T) {
	o := NewOrigin(t, Text("hello", "Cache-Control", `max-age=60, private="X-User", no-cache="X-Count"`, "X-User", "anna", "X-Count", "1"))
	g := Route(t, o.URL, cached)
	first := g.Get("/")
	want(t, first, 200, "hello")
	if first.Header.Get("X-User") != "anna" || first.Header.Get("X-Count") != "1" {
		t.Errorf("the one who asked has not got all: %v", first.Header)
	}
	second := g.Get("/")
	wantHit(t, second, "hello")
	if second.Header.Get("X-User") != "" || second.Header.Get("X-Count") != "" {
		t.Errorf("another client got a private field: %v", second.Header)
	}
}

// TestRulesHoldAfterValidation: what a route's Cache-Control rule has written is not undone by a 304.
func TestRulesHoldAfterValidation(t *testing.T) {
	o := NewOrigin(t, Text("hello", "Cache-Control", "max-age=5", "ETag", `"1"`))
	g := Route(t, o.URL, cached+`
cache_control: [{set: "public, max-age=60", mode: override}]`)
	want(t, g.Get("/"), 200, "hello")
	o.Answer(Status(304, "Cache-Control", "max-age=5", "ETag", `"1"`))
	g.Clock.Advance(61 * time.Second)
	validated := g.Get("/")
	want(t, validated, 200, "hello")
	g.Clock.Advance(30 * time.Second)
	later := g.Get("/")
	wantHit(t, later, "hello")
	for _, r := range []*Response{validated, later} {
		if got := r.Header.Get("Cache-Control"); got != "public, max-age=60" {
			t.Errorf("Cache-Control %q", got)
		}
	}
}

// TestPartNeverReplacesTheWhole: a range that was asked for before the whole was stored, and comes after it.
func TestPartNeverReplacesTheWhole(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") == "" {
			Text("0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`)(w, r)
			return
		}
		gate.Wait()
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Content-Range", "bytes 2-4/10")
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, "234")
	})
	g := Route(t, o.URL, cached)
	part := g.Go("/", "Range", "bytes=2-4")
	gate.Came(t)
	want(t, g.Get("/"), 200, "0123456789")
	gate.Open()
	want(t, g.Await(part), 206, "234")
	wantHit(t, g.Get("/"), "0123456789")
	wantCalls(t, o, 2)
}
