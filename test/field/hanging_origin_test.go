package field

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
)

// hang is a way in which an origin fails slowly while a stale copy may be served.
type hang struct {
	name   string
	pool   string // of the upstream
	keys   string // of the route; "": a cache that is on
	stored string // Cache-Control of the stored response
	answer http.HandlerFunc
	method string
	fields []string
	full   bool // another call has the upstream's only connection
}

// hangFor is how long the gateway waits for the origin. A client that waits for less than half of it has not waited for the origin.
const hangFor = 6 * time.Second

// never answers until the gateway hangs up.
func never(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

var hangs = []hang{
	{name: "it never answers", answer: never},
	{name: "it answers 503 late", answer: late(http.StatusServiceUnavailable)},
	{name: "it answers 500 late", answer: late(http.StatusInternalServerError)},
	{name: "the pool is full", answer: never, pool: "pool: {max: 1, wait: 5s}", full: true},
	{name: "the route names the window", answer: never, keys: "cache: {enabled: true, stale_if_error: 10m}", stored: "max-age=1"},
	{name: "clients ask for ranges", answer: never, fields: []string{"Range", "bytes=0-2"}},
	{name: "requests are not coalesced", answer: never, keys: "cache: {enabled: true}\n    coalesce: {enabled: false}"},
	{name: "clients ask by HEAD", answer: never, method: http.MethodHead},
	{name: "the response has a validator and the route compresses", answer: never, keys: "cache: {enabled: true}\n    compress: {min_size: 1}", fields: []string{"Accept-Encoding", "gzip"}},
}

// late answers with an error after some time.
func late(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(5 * time.Second):
		case <-r.Context().Done():
		}
		w.WriteHeader(status)
	}
}

// TestNoClientWaitsWhileTheOriginHangs has a stored response go stale and the origin hang. All clients get the stale copy
// soon, the one whose request made the call among them, and at once when the call is known to take long or has failed.
// When the origin is back its new response comes in the background.
func TestNoClientWaitsWhileTheOriginHangs(t *testing.T) {
	for _, h := range hangs {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			h.test(t)
		})
	}
}

func (h *hang) test(t *testing.T) {
	o := NewOrigin(t, Text("old", "Cache-Control", firstOf(h.stored, "max-age=1, stale-if-error=600"), "ETag", `"1"`, "Vary", "Accept-Language"))
	g := Start(t, fmt.Sprintf("upstreams:\n  origin:\n    targets: [%q]\n    timeouts: {first_byte: %s}\n    %s\nroutes:\n  - name: all\n    match: {path: /*}\n    upstream: origin\n    %s\n",
		o.URL, hangFor, h.pool, firstOf(h.keys, "cache: {enabled: true}")))
	language := []string{"Accept-Language", "de"}
	if r := g.Get("/", language...); r.Body != "old" {
		t.Fatalf("storing: %d %q", r.Status, r.Body)
	}
	g.Clock.Advance(5 * time.Second)
	o.Answer(h.answer)
	if h.full {
		ctx, cancel := context.WithTimeout(t.Context(), 2*hangFor)
		defer cancel()
		go func() {
			if resp, err := g.Open(ctx, http.MethodGet, "/full", nil); err == nil {
				resp.Body.Close()
			}
		}()
		Eventually(t, "the connection is taken", func() bool { return o.Calls() == 2 })
	}
	first := make(chan *Response, 1)
	began := time.Now()
	go func() {
		r := h.ask(g, language)
		if took := time.Since(began); took > hangFor/2 {
			t.Errorf("the client whose request made the call waits %v", took.Round(time.Millisecond))
		}
		first <- r
	}()
	time.Sleep(1200 * time.Millisecond) // the time that clients wait for a call under way, which is a part of the rule
	for range 4 {
		h.soon(t, g, language, "during the first call")
	}
	select {
	case r := <-first:
		if r.Status >= 400 || r.Param("fwd") != "stale" || r.Param("detail") != "origin-timeout" {
			t.Errorf("the first client gets %d, %s", r.Status, r.Header["Cache-Status"])
		}
	case <-time.After(4 * hangFor):
		t.Fatal("the first client is not answered")
	}
	for range 4 {
		h.soon(t, g, language, "after the first failure")
		g.Clock.Advance(2 * time.Second) // the origin may be asked again
	}
	o.Answer(Text("new", "Cache-Control", "max-age=60", "Vary", "Accept-Language"))
	for end := time.Now().Add(4 * hangFor); ; time.Sleep(50 * time.Millisecond) {
		g.Clock.Advance(time.Second)
		if r := g.Get("/", language...); r.Body == "new" {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the origin is back and clients still get the stale copy")
		}
	}
}

func (h *hang) ask(g *Gateway, language []string) *Response {
	return g.Do(firstOf(h.method, http.MethodGet), "/", nil, append(language[:2:2], h.fields...)...)
}

// soon asks and expects the stale copy without having waited for the origin.
func (h *hang) soon(t *testing.T, g *Gateway, language []string, when string) {
	t.Helper()
	began := time.Now()
	r := h.ask(g, language)
	if took := time.Since(began); took > hangFor/2 {
		t.Errorf("%s a client waits %v", when, took.Round(time.Millisecond))
	}
	if r.Status >= 400 || h.method == "" && r.Body != "old" {
		t.Errorf("%s a client gets %d %q, %v", when, r.Status, r.Body, r.Err)
	}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// TestNobodyGetsAStaleCopyThatMayNotBeServed: where stale is forbidden, all wait for the origin.
func TestStaleCopyStaysForbiddenWhileTheOriginHangs(t *testing.T) {
	t.Parallel()
	for _, control := range []string{"max-age=1, must-revalidate", "s-maxage=1", "max-age=1, stale-if-error=0", "no-cache"} {
		o := NewOrigin(t, Text("old", "Cache-Control", control, "ETag", `"1"`))
		g := Route(t, o.URL, "cache: {enabled: true}")
		g.Get("/")
		g.Clock.Advance(5 * time.Second)
		gate := NewGate(t)
		o.Answer(func(w http.ResponseWriter, r *http.Request) { gate.Wait(); Text("new", "Cache-Control", control)(w, r) })
		a := g.Go("/")
		gate.Came(t)
		b := g.Go("/")
		time.Sleep(1200 * time.Millisecond)
		c := g.Go("/")
		gate.Open()
		for _, reply := range []<-chan *Response{a, b, c} {
			if r := g.Await(reply); r.Body != "new" {
				t.Errorf("%s: %d %q", control, r.Status, r.Body)
			}
		}
	}
}
