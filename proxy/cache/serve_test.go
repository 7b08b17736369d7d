package cache_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
)

const cached = "cache: {enabled: true, early_refresh: 0}"

// want fails unless r has this status and content.
func want(t *testing.T, r *Response, status int, body string) {
	t.Helper()
	if r.Err != nil || r.Status != status || r.Body != body {
		t.Fatalf("got %d %.80q, error %v; want %d %.80q; Cache-Status: %s", r.Status, r.Body, r.Err, status, body, r.Header["Cache-Status"])
	}
}

// wantHit fails unless r has this content and came from the store.
func wantHit(t *testing.T, r *Response, body string) {
	t.Helper()
	want(t, r, 200, body)
	if !r.Hit() {
		t.Fatalf("Cache-Status %q is no hit", r.Header["Cache-Status"])
	}
}

func wantCalls(t *testing.T, o *Origin, n int) {
	t.Helper()
	if got := o.Calls(); got != n {
		t.Fatalf("the origin was asked %d times, want %d", got, n)
	}
}

func TestMissThenHit(t *testing.T) {
	o := NewOrigin(t, Text("hello", "Cache-Control", "max-age=60", "X-One", "1"))
	g := Route(t, o.URL, cached)
	first := g.Get("/a")
	want(t, first, 200, "hello")
	if first.Param("fwd") != "uri-miss" || first.Param("stored") != "true" || first.Param("fwd-status") != "200" {
		t.Errorf("Cache-Status of a miss: %s", first.Header["Cache-Status"])
	}
	if e := g.Event(); e.Hit || !e.Stored || e.Upstream != "origin" || e.Target != o.URL || e.Tries != 1 || e.UpstreamStatus != 200 || e.Action != "fetch" || e.BytesOut != 5 {
		t.Errorf("event of a miss: %+v", e)
	}
	g.Clock.Advance(30 * time.Second)
	second := g.Get("/a")
	wantHit(t, second, "hello")
	if second.Header.Get("Age") != "30" || second.Param("ttl") != "30" || second.Header.Get("X-One") != "1" || second.Header.Get("Content-Length") != "5" {
		t.Errorf("header of a hit: %v", second.Header)
	}
	if e := g.Event(); !e.Hit || e.Action != "serve" || e.Age != 30*time.Second || e.TTL != 30*time.Second || e.Upstream != "" {
		t.Errorf("event of a hit: %+v", e)
	}
	wantCalls(t, o, 1)
}

func TestLifetimes(t *testing.T) {
	for _, tt := range []struct {
		name, route string
		handler     http.HandlerFunc
		fresh       time.Duration // the last second at which it is served without a call; < 0: never
	}{
		{"max-age", cached, Text("x", "Cache-Control", "max-age=60"), 59 * time.Second},
		{"default", "cache: {enabled: true, early_refresh: 0, ttl: {default: 10s}}", Text("x"), 9 * time.Second},
		{"by status", "cache: {enabled: true, early_refresh: 0, ttl: {status: {404: 7s}}}", Status(404), 6 * time.Second},
		{"floor", "cache: {enabled: true, early_refresh: 0, ttl: {min: 30s}}", Text("x", "Cache-Control", "max-age=1"), 29 * time.Second},
		{"ceiling", "cache: {enabled: true, early_refresh: 0, ttl: {max: 5s}}", Text("x", "Cache-Control", "max-age=60"), 4 * time.Second},
		{"ignore_origin", "cache: {enabled: true, early_refresh: 0, ignore_origin: true, ttl: {default: 20s}}", Text("x", "Cache-Control", "no-store"), 19 * time.Second},
		{"no-store", cached, Text("x", "Cache-Control", "no-store, max-age=60"), -1},
		{"private", cached, Text("x", "Cache-Control", "private, max-age=60"), -1},
		{"Set-Cookie", cached, Text("x", "Cache-Control", "max-age=60", "Set-Cookie", "a=b"), -1},
		{"Vary: *", cached, Text("x", "Cache-Control", "max-age=60", "Vary", "*"), -1},
		{"nothing said", cached, Text("x"), -1},
		{"rule", cached + "\ncache_control:\n  - {when: {extension: [txt]}, set: \"max-age=50\"}", Text("x"), 49 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := NewOrigin(t, tt.handler)
			g := Route(t, o.URL, tt.route)
			g.Get("/a.txt")
			if tt.fresh < 0 {
				g.Get("/a.txt")
				wantCalls(t, o, 2)
				return
			}
			g.Clock.Advance(tt.fresh)
			if r := g.Get("/a.txt"); !r.Hit() {
				t.Errorf("after %v: %s", tt.fresh, r.Header["Cache-Status"])
			}
			g.Clock.Advance(2 * time.Second)
			if r := g.Get("/a.txt"); r.Hit() {
				t.Errorf("after %v: %s", tt.fresh+2*time.Second, r.Header["Cache-Status"])
			}
			wantCalls(t, o, 2)
		})
	}
}

func TestCookieModes(t *testing.T) {
	for mode, cookie := range map[string]string{"strip": "", "store": "a=b"} {
		o := NewOrigin(t, Text("x", "Cache-Control", "max-age=60", "Set-Cookie", "a=b"))
		g := Route(t, o.URL, "cache: {enabled: true, set_cookie: "+mode+"}")
		if r := g.Get("/"); r.Header.Get("Set-Cookie") != cookie {
			t.Errorf("%s: the first client got Set-Cookie %q", mode, r.Header.Get("Set-Cookie"))
		}
		r := g.Get("/")
		wantHit(t, r, "x")
		if r.Header.Get("Set-Cookie") != cookie {
			t.Errorf("%s: a hit has Set-Cookie %q", mode, r.Header.Get("Set-Cookie"))
		}
	}
}

func TestAuthorizationModes(t *testing.T) {
	for _, tt := range []struct {
		mode, control string
		calls         int // for alice, alice, bob
	}{
		{"rfc", "max-age=60", 3},
		{"rfc", "max-age=60, public", 1},
		{"never", "max-age=60, public", 3},
		{"key", "max-age=60", 2},
	} {
		o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			Text("x", "Cache-Control", tt.control)(w, r)
		})
		g := Route(t, o.URL, "cache: {enabled: true, authorization: "+tt.mode+"}")
		for _, who := range []string{"alice", "alice", "bob"} {
			want(t, g.Get("/", "Authorization", "Bearer "+who), 200, "x")
		}
		wantCalls(t, o, tt.calls)
	}
}

func TestKeys(t *testing.T) {
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		Text(r.URL.RawQuery+"|"+r.Header.Get("X-Tenant")+"|"+r.Header.Get("Cookie"), "Cache-Control", "max-age=60")(w, r)
	})
	g := Route(t, o.URL, "cache: {enabled: true, key: {query: {include: [\"*\"], exclude: [\"utm_*\"], sort: true}, headers: [X-Tenant], cookies: [lang]}}")
	for _, tt := range []struct {
		path   string
		fields []string
		hit    bool
	}{
		{"/?a=1&b=2", nil, false},
		{"/?b=2&a=1", nil, true},
		{"/?b=2&a=1&utm_source=x", nil, true},
		{"/?a=1&b=3", nil, false},
		{"/?a=1&b=2", []string{"X-Tenant", "t"}, false},
		{"/?a=1&b=2", []string{"X-Tenant", "t"}, true},
		{"/?a=1&b=2", []string{"Cookie", "lang=de; session=1"}, false},
		{"/?a=1&b=2", []string{"Cookie", "session=2; lang=de"}, true},
		{"/?a=1&b=2", []string{"Host", "other.example"}, false},
	} {
		if r := g.Get(tt.path, tt.fields...); r.Hit() != tt.hit {
			t.Errorf("%s %v: %s", tt.path, tt.fields, r.Header["Cache-Status"])
		}
	}
}

func TestVariants(t *testing.T) {
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		Text("for "+r.Header.Get("X-Kind"), "Cache-Control", "max-age=60", "Vary", "X-Kind")(w, r)
	})
	g := Route(t, o.URL, "cache: {enabled: true, vary: {max_variants: 2}}")
	for _, kind := range []string{"a", "b"} {
		want(t, g.Get("/", "X-Kind", kind), 200, "for "+kind)
		wantHit(t, g.Get("/", "X-Kind", kind), "for "+kind)
	}
	wantHit(t, g.Get("/", "X-Kind", "a"), "for a")
	r := g.Get("/", "X-Kind", "c") // one too many: the variant that was used least makes room
	want(t, r, 200, "for c")
	if r.Param("fwd") != "vary-miss" {
		t.Errorf("Cache-Status %s", r.Header["Cache-Status"])
	}
	wantHit(t, g.Get("/", "X-Kind", "c"), "for c")
	wantHit(t, g.Get("/", "X-Kind", "a"), "for a")
	wantCalls(t, o, 3)
	want(t, g.Get("/", "X-Kind", "b"), 200, "for b")
	wantCalls(t, o, 4)
}

func TestRequestDirectives(t *testing.T) {
	o := NewOrigin(t, Text("x", "Cache-Control", "max-age=60", "Etag", `"1"`))
	g := Route(t, o.URL, cached)
	r := g.Get("/", "Cache-Control", "only-if-cached")
	if r.Status != 504 || r.Param("detail") != "only-if-cached" || r.Param("fwd") != "" {
		t.Errorf("only-if-cached: %d %s", r.Status, r.Header["Cache-Status"])
	}
	wantCalls(t, o, 0)
	g.Get("/")
	g.Clock.Advance(20 * time.Second)
	for _, tt := range []struct {
		control string
		calls   int
	}{
		{"only-if-cached", 0}, {"max-age=30", 0}, {"min-fresh=30", 0}, {"min-fresh=50", 1}, {"no-store", 1}, {"no-cache", 1},
	} {
		before := o.Calls()
		g.Get("/", "Cache-Control", tt.control)
		if got := o.Calls() - before; got != tt.calls {
			t.Errorf("%s: %d calls, want %d", tt.control, got, tt.calls)
		}
	}
	g.Clock.Advance(20 * time.Second)
	if g.Get("/", "Cache-Control", "max-age=10").Hit() {
		t.Error("max-age=10 was answered with a response 20 s old")
	}
	ignoring := Route(t, o.URL, "cache: {enabled: true, client_directives: ignore}")
	ignoring.Get("/")
	wantHit(t, ignoring.Get("/", "Cache-Control", "no-cache"), "x")
}

func TestRevalidation(t *testing.T) {
	version := `"1"`
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("X-Version", version)
		w.Header().Set("Etag", version)
		if r.Header.Get("If-None-Match") == version {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		Text("version "+version)(w, r)
	})
	g := Route(t, o.URL, cached)
	g.Get("/")
	g.Clock.Advance(61 * time.Second)
	r := g.Get("/")
	want(t, r, 200, `version "1"`)
	if r.Param("fwd") != "stale" || r.Param("fwd-status") != "304" || r.Param("detail") != "validated" || r.Header.Get("Age") != "0" {
		t.Errorf("a validated response: %v", r.Header)
	}
	wantHit(t, g.Get("/"), `version "1"`)
	g.Clock.Advance(61 * time.Second)
	version = `"2"`
	want(t, g.Get("/"), 200, `version "2"`)
	wantHit(t, g.Get("/"), `version "2"`)
	wantCalls(t, o, 3)
}

func TestConditionsOfClients(t *testing.T) {
	o := NewOrigin(t, Text("x", "Cache-Control", "max-age=60", "Etag", `"1"`, "Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT"))
	g := Route(t, o.URL, cached)
	for _, how := range []string{"miss", "hit"} {
		for _, tt := range []struct {
			name, value string
			status      int
		}{
			{"If-None-Match", `"1"`, 304},
			{"If-None-Match", `W/"1"`, 304},
			{"If-None-Match", `"2"`, 200},
			{"If-Modified-Since", "Mon, 02 Jan 2006 15:04:05 GMT", 304},
			{"If-Match", `"2"`, 412},
		} {
			r := g.Get("/"+how, tt.name, tt.value)
			if r.Status != tt.status || r.Status == 304 && (r.Body != "" || r.Header.Get("Etag") != `"1"` || r.Header.Get("Content-Type") != "") {
				t.Errorf("%s, %s: %s: %d %v", how, tt.name, tt.value, r.Status, r.Header)
			}
			if how == "miss" {
				how = "hit"
			}
		}
	}
	if o.Seen(0).Header.Get("If-None-Match") != "" {
		t.Error("a client's condition went to the origin with a fill")
	}
}

func TestHead(t *testing.T) {
	etag := `"1"`
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		Text("hello", "Cache-Control", "max-age=60", "Etag", etag, "Content-Length", "5")(w, r)
	})
	g := Route(t, o.URL, cached)
	head := func() *Response { return g.Do("HEAD", "/", nil) }
	want(t, head(), 200, "")
	wantCalls(t, o, 1) // nothing is stored of a HEAD
	g.Get("/")
	r := head()
	if r.Status != 200 || !r.Hit() || r.Body != "" || r.Header.Get("Content-Length") != "5" {
		t.Errorf("HEAD from a stored GET: %d %v", r.Status, r.Header)
	}
	g.Clock.Advance(61 * time.Second)
	head()
	wantHit(t, g.Get("/"), "hello") // the HEAD has brought it up to date
	wantCalls(t, o, 3)
	g.Clock.Advance(61 * time.Second)
	etag = `"2"`
	head()
	if g.Get("/").Hit() {
		t.Error("a response was served that a HEAD has shown to be another by now")
	}
}

func TestContentTypeIsNotGuessed(t *testing.T) {
	for _, control := range []string{"max-age=60", "no-store"} {
		o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = nil
			w.Header().Set("Cache-Control", control)
			w.Write([]byte("<html><script>"))
		})
		g := Route(t, o.URL, cached)
		for range 2 {
			if r := g.Get("/"); len(r.Header["Content-Type"]) > 0 {
				t.Errorf("%s: Content-Type %q was made up", control, r.Header["Content-Type"])
			}
		}
	}
}

func TestStatusesWithoutContent(t *testing.T) {
	for _, code := range []int{204, 304} {
		o := NewOrigin(t, Status(code, "Cache-Control", "max-age=60"))
		g := Route(t, o.URL, cached)
		for range 2 {
			r := g.Get("/", "If-None-Match", `"x"`)
			wanted := code
			if code == 304 {
				wanted = 502 // nobody has forwarded the client's condition
			}
			if r.Status != wanted || code == 204 && len(r.Header["Content-Length"]) > 0 {
				t.Errorf("%d: got %d %v", code, r.Status, r.Header)
			}
		}
	}
}

func TestUpstreamCacheStatusStays(t *testing.T) {
	o := NewOrigin(t, Text("x", "Cache-Control", "max-age=60", "Cache-Status", "inner; hit"))
	g := Route(t, o.URL, cached)
	for range 2 {
		if r := g.Get("/"); !strings.HasPrefix(r.Header.Get("Cache-Status"), "inner; hit, penstock; ") {
			t.Errorf("Cache-Status: %v", r.Header["Cache-Status"])
		}
	}
}
