package cache_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
)

// TestConditionsHoldForWhatIsNotStored: the call that finds a response to be private was made without the client's conditions.
func TestConditionsHoldForWhatIsNotStored(t *testing.T) {
	o := NewOrigin(t, Text("hello", "Cache-Control", "private", "ETag", `"1"`))
	g := Route(t, o.URL, cached)
	for range 2 { // the second time the key is known to be unshareable
		r := g.Get("/", "If-None-Match", `"1"`)
		want(t, r, http.StatusNotModified, "")
		if r.Header.Get("ETag") != `"1"` || r.Header.Get("Content-Type") != "" {
			t.Errorf("fields %v", r.Header)
		}
	}
	want(t, g.Get("/", "If-None-Match", `"2"`), 200, "hello")
}

// TestTooLargeIsForEachAlone: a body that is not kept is not shared, so that nobody has to go at another's pace.
func TestTooLargeIsForEachAlone(t *testing.T) {
	body := strings.Repeat("x", 10<<20)
	gate := NewGate(t)
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		gate.Wait()
		Text(body, "Cache-Control", "max-age=60", "Content-Length", strconv.Itoa(len(body)))(w, r)
	})
	g := Route(t, o.URL, cached)
	first, second := g.Go("/"), g.Go("/")
	g.AwaitWaiting(1)
	gate.Open()
	for _, c := range []<-chan *Response{first, second} {
		r := g.Await(c)
		want(t, r, 200, body)
		if r.Param("detail") != "too-large" || r.Param("stored") != "" {
			t.Errorf("Cache-Status %q", r.Header["Cache-Status"])
		}
	}
	wantCalls(t, o, 2)
}

func TestVariantsBeyondTheCapAreStoredInThePlaceOfOthers(t *testing.T) {
	o := NewOrigin(t, Text("hello", "Cache-Control", "max-age=60", "Vary", "X-V"))
	g := Route(t, o.URL, "cache: {enabled: true, early_refresh: 0, vary: {max_variants: 2}}")
	for i := range 4 {
		r := g.Get("/", "X-V", string(rune('a'+i)))
		want(t, r, 200, "hello")
		if r.Param("stored") != "true" {
			t.Errorf("variant %d: %s", i, r.Header["Cache-Status"])
		}
		wantHit(t, g.Get("/", "X-V", string(rune('a'+i))), "hello")
	}
}

// TestTagsFollowTheOrigin: an origin that tags a response anew as it validates it has the new tags count.
func TestTagsFollowTheOrigin(t *testing.T) {
	o := NewOrigin(t, Text("hello", "Cache-Control", "max-age=5", "ETag", `"1"`, "Surrogate-Key", "old"))
	g := Route(t, o.URL, cached)
	want(t, g.Get("/"), 200, "hello")
	o.Answer(Status(304, "Cache-Control", "max-age=600", "ETag", `"1"`, "Surrogate-Key", "new"))
	g.Clock.Advance(6 * time.Second)
	r := g.Get("/")
	want(t, r, 200, "hello")
	if r.Header.Get("Surrogate-Key") != "" {
		t.Error("the tags have reached the client")
	}
	o.Answer(Text("changed", "Cache-Control", "max-age=600"))
	g.Purge(t, "old")
	wantHit(t, g.Get("/"), "hello")
	g.Purge(t, "new")
	want(t, g.Get("/"), 200, "changed")
}
