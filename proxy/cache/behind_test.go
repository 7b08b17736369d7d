package cache_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	. "github.com/penstock/penstock/test/gatewaytest"
)

// behind starts a gateway with one route whose writes are applied later; route has further keys of its `writes`, queue those of the queue itself.
func behind(t *testing.T, url, queue, writes, more string) *Gateway {
	t.Helper()
	return Start(t, fmt.Sprintf("writes: {path: %q, %s}\n", filepath.Join(t.TempDir(), "writes.db"), writes)+
		"upstreams:\n  origin: {targets: ["+url+"]}\nroutes:\n"+
		"  - {name: all, match: {path: \"/*\"}, upstream: origin, cache: {enabled: true, early_refresh: 0}, writes: {policy: behind, queue: {"+
		"backoff: 1ms, max_backoff: 5ms, "+queue+"}"+more+"}}\n")
}

// state is what the state resource says.
type state struct {
	State  string
	Tries  int
	Status int
	Reason string
	Method string
	Path   string
}

func stateOf(t *testing.T, g *Gateway, location string, fields ...string) (s state) {
	t.Helper()
	r := g.Get(location, fields...)
	if r.Status != 200 || json.Unmarshal([]byte(r.Body), &s) != nil {
		t.Fatalf("%s: %d %q", location, r.Status, r.Body)
	}
	return s
}

// accepted sends a write that must be accepted and returns the way to its state.
func accepted(t *testing.T, g *Gateway, method, path, body string, fields ...string) string {
	t.Helper()
	r := g.Do(method, path, strings.NewReader(body), fields...)
	if r.Status != 202 || !strings.HasPrefix(r.Header.Get("Location"), "/.penstock/writes/") {
		t.Fatalf("%s %s: %d %v %s", method, path, r.Status, r.Header, r.Body)
	}
	return r.Header.Get("Location")
}

// reaches waits until the write's state is the one wanted.
func reaches(t *testing.T, g *Gateway, location, want string) (s state) {
	t.Helper()
	Eventually(t, location+" is "+want, func() bool {
		s = stateOf(t, g, location)
		return s.State == want
	})
	return s
}

func TestBehind(t *testing.T) {
	v := &values{at: map[string]string{}}
	o := NewOrigin(t, v.ServeHTTP)
	g := behind(t, o.URL, "", "", "")
	location := accepted(t, g, "PUT", "/a?b=c", "new", "Content-Type", "text/x", "Authorization", "me", "X-Own", "1", "Te", "trailers")
	s := reaches(t, g, location, "done")
	if s.Tries != 1 || s.Status != 204 || s.Method != "PUT" || s.Path != "/a" {
		t.Errorf("%+v", s)
	}
	r := o.Seen(0)
	if r.Method != "PUT" || r.RequestURI != "/a?b=c" || r.Header.Get("Content-Type") != "text/x" || r.Header.Get("Authorization") != "me" ||
		r.Header.Get("X-Own") != "1" || r.ContentLength != 3 || r.Header.Get("X-Forwarded-Host") != g.Addr || len(r.Header["Te"]) > 0 {
		t.Errorf("%s %s %v", r.Method, r.RequestURI, r.Header)
	}
	if key := r.Header.Get("Idempotency-Key"); key != `"`+strings.TrimPrefix(location, "/.penstock/writes/")+`"` {
		t.Errorf("Idempotency-Key %s", key)
	}
	want(t, g.Get("/a"), 200, "new")
}

func TestBehindInvalidates(t *testing.T) {
	v := &values{at: map[string]string{"/a": "old", "/list": "old"}}
	o := NewOrigin(t, v.ServeHTTP)
	g := behind(t, o.URL, "", "", `, targets: ["/list"]`)
	for _, path := range []string{"/a", "/list"} {
		want(t, g.Get(path), 200, "old")
		wantHit(t, g.Get(path), "old")
	}
	location := accepted(t, g, "PUT", "/a", "new")
	reaches(t, g, location, "done")
	want(t, g.Get("/a"), 200, "new")
	if g.Get("/list").Hit() {
		t.Error("the URL that the route names is not stale")
	}
}

func TestBehindTriesAgain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		queue  string
		state  string
		tries  int
		status int
		reason string
	}{
		{"passing error", Status(503), "retries: 2", "dead", 3, 503, "given up after 3 tries"},
		{"too many", Status(429, "Retry-After", "0"), "retries: 1", "dead", 2, 429, "429"},
		{"no retries", Status(500), "retries: 0", "dead", 1, 500, "500"},
		{"refused", Status(403), "retries: 5", "dead", 1, 403, "403"},
		{"conflict", Status(409), "retries: 5", "dead", 1, 409, "409"},
		{"redirected", Status(307, "Location", "/x"), "retries: 5", "dead", 1, 307, "307"},
		{"see other", Status(303, "Location", "/x"), "retries: 5", "done", 1, 303, ""},
		{"no answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "retries: 1", "dead", 2, 0, "the upstream did not answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := NewOrigin(t, tt.answer)
			g := behind(t, o.URL, tt.queue, "", "")
			s := reaches(t, g, accepted(t, g, "POST", "/a", "x"), tt.state)
			if s.Tries != tt.tries || s.Status != tt.status || !strings.Contains(s.Reason, tt.reason) || strings.Contains(s.Reason, o.URL) {
				t.Errorf("%+v", s)
			}
			wantCalls(t, o, tt.tries)
			for n := range tt.tries {
				if o.Seen(n).Header.Get("Idempotency-Key") != o.Seen(0).Header.Get("Idempotency-Key") {
					t.Error("the Idempotency-Key has changed")
				}
			}
		})
	}
}

// TestBehindKeepsTheOrder: writes of one path come one after the other, whatever fails, and others do not wait for them.
func TestBehindKeepsTheOrder(t *testing.T) {
	gate := NewGate(t)
	var mu sync.Mutex
	var order []string
	failed := map[string]int{}
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/a" {
			gate.Wait()
		}
		mu.Lock()
		defer mu.Unlock()
		if failed[string(body)]++; failed[string(body)] < 3 && r.URL.Path == "/a" {
			w.WriteHeader(503)
			return
		}
		order = append(order, string(body))
	})
	g := behind(t, o.URL, "", "", "")
	var last string
	for n := range 10 {
		last = accepted(t, g, "PUT", "/a", fmt.Sprintf("a%d", n))
	}
	reaches(t, g, accepted(t, g, "PUT", "/b", "b"), "done")
	gate.Open()
	reaches(t, g, last, "done")
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(order, " "); got != "b a0 a1 a2 a3 a4 a5 a6 a7 a8 a9" {
		t.Error(got)
	}
}

func TestBehindHonoursKeys(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, gated(gate, Status(204)))
	g := behind(t, o.URL, "", "", "")
	first := accepted(t, g, "POST", "/a", "x", "Idempotency-Key", "k1")
	for range 3 {
		if again := accepted(t, g, "POST", "/a", "x", "Idempotency-Key", "k1"); again != first {
			t.Errorf("%s and %s", first, again)
		}
	}
	for name, r := range map[string]*Response{
		"another body":   g.Do("POST", "/a", strings.NewReader("y"), "Idempotency-Key", "k1"),
		"another method": g.Do("PUT", "/a", strings.NewReader("x"), "Idempotency-Key", "k1"),
		"another type":   g.Do("POST", "/a", strings.NewReader("x"), "Idempotency-Key", "k1", "Content-Type", "a/b"),
	} {
		if r.Status != 422 {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	if other := accepted(t, g, "POST", "/a", "y", "Idempotency-Key", "k1", "Authorization", "somebody else"); other == first {
		t.Error("another client's key is taken for the same")
	}
	gate.Open()
	reaches(t, g, first, "done")
	if again := accepted(t, g, "POST", "/a", "x", "Idempotency-Key", "k1"); again != first {
		t.Errorf("after it was done: %s and %s", first, again)
	}
	Eventually(t, "the other is applied", func() bool { return o.Calls() == 2 })
	if key := o.Seen(0).Header.Get("Idempotency-Key"); key != "k1" {
		t.Errorf("the origin gets the key %q", key)
	}
	for _, key := range []string{"", strings.Repeat("k", 256)} {
		if r := g.Do("POST", "/a", nil, "Idempotency-Key", key); r.Status != 400 {
			t.Errorf("key %q: %d", key, r.Status)
		}
	}
}

func TestBehindIsBounded(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, gated(gate, Status(204)))
	g := behind(t, o.URL, "", "max: 2, max_body: 8", "")
	accepted(t, g, "PUT", "/a", "1")
	last := accepted(t, g, "PUT", "/a", "2")
	if r := g.Do("PUT", "/a", strings.NewReader("3")); r.Status != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", r.Status, r.Header)
	}
	if r := g.Do("PUT", "/a", strings.NewReader("more than 8")); r.Status != 413 {
		t.Errorf("%d %v", r.Status, r.Header)
	}
	if r := g.Do("PUT", "/a", io.MultiReader(strings.NewReader("more "), strings.NewReader("than 8"))); r.Status != 413 {
		t.Errorf("chunked: %d %v", r.Status, r.Header)
	}
	gate.Open()
	reaches(t, g, last, "done")
	accepted(t, g, "PUT", "/a", "4")
}

func TestBehindPassesTheRest(t *testing.T) {
	o := NewOrigin(t, Text("x", "Cache-Control", "max-age=60"))
	g := behind(t, o.URL, "", "", "")
	for _, method := range []string{"FROB", "OPTIONS", "GET"} {
		if r := g.Do(method, "/a", nil); r.Status != 200 {
			t.Errorf("%s: %d", method, r.Status)
		}
	}
	wantHit(t, g.Get("/a"), "x")
}

func TestStates(t *testing.T) {
	o := NewOrigin(t, Status(204))
	g := behind(t, o.URL, "", "", "")
	location := accepted(t, g, "PUT", "/a", "x", "Host", "a.test")
	for _, tt := range []struct {
		method, path, host string
		status             int
	}{
		{"GET", location, "a.test", 200}, {"HEAD", location, "a.test", 200}, {"GET", location, "b.test", 404}, {"PUT", location, "a.test", 405},
		{"GET", "/.penstock/writes/", "a.test", 404}, {"GET", location[:len(location)-1], "a.test", 404}, {"GET", location + "0", "a.test", 404},
		{"GET", "/.penstock/writes/0123456789abcdef0123456789abcdef", "a.test", 404},
	} {
		r := g.Do(tt.method, tt.path, nil, "Host", tt.host)
		if r.Status != tt.status || r.Status == 200 && r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%+v: %d %v", tt, r.Status, r.Header)
		}
	}
}

// TestReadsSeeQueuedWrites: with cache_body a read finds what is queued, if its client may.
func TestReadsSeeQueuedWrites(t *testing.T) {
	gate := NewGate(t)
	v := &values{at: map[string]string{"/a": "old"}}
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" {
			gate.Wait()
		}
		v.ServeHTTP(w, r)
	})
	g := behind(t, o.URL, "cache_body: true", "", "")
	wantHitAfter := func(want string, fields ...string) {
		t.Helper()
		r := g.Get("/a", fields...)
		if r.Status != 200 || r.Body != want || !r.Hit() || r.Param("detail") != "queued" {
			t.Errorf("%d %q %s; want %q", r.Status, r.Body, r.Header["Cache-Status"], want)
		}
	}
	want(t, g.Get("/a"), 200, "old")
	accepted(t, g, "PUT", "/a", "one", "Content-Type", "text/x")
	accepted(t, g, "PUT", "/a", "two", "Content-Type", "text/x")
	wantHitAfter("two")
	wantHitAfter("two", "Authorization", "anybody") // it came without credentials
	if r := g.Get("/a", "Range", "bytes=1-"); r.Status != 206 || r.Body != "wo" || r.Header.Get("Content-Type") != "text/x" || r.Header.Get("Etag") != "" {
		t.Errorf("%+v", r)
	}
	if r := g.Do("HEAD", "/a", nil); r.Status != 200 || r.Header.Get("Content-Length") != "3" {
		t.Errorf("%+v", r)
	}
	accepted(t, g, "PUT", "/a", "secret", "Authorization", "me")
	wantHitAfter("secret", "Authorization", "me")
	for range 2 { // who else asks gets what the origin has, and it is not kept
		if r := g.Get("/a"); r.Body != "old" || r.Hit() {
			t.Errorf("%+v", r)
		}
	}
	accepted(t, g, "PATCH", "/a", "patched")
	if r := g.Get("/a"); r.Body != "old" || r.Hit() {
		t.Errorf("the result of a PATCH is not known: %+v", r)
	}
	last := accepted(t, g, "DELETE", "/a", "")
	if r := g.Get("/a"); r.Status != 404 {
		t.Errorf("%+v", r)
	}
	gate.Open()
	reaches(t, g, last, "done")
	if r := g.Get("/a"); r.Status != 404 || r.Param("detail") == "queued" {
		t.Errorf("%+v", r)
	}
	last = accepted(t, g, "PUT", "/a", "again")
	reaches(t, g, last, "done")
	want(t, g.Get("/a"), 200, "again")
	wantHit(t, g.Get("/a"), "again")
}

// TestQueuedWritesOutliveFills: a fill that set out before the write does not hide it.
func TestQueuedWritesOutliveFills(t *testing.T) {
	reads, writes := NewGate(t), NewGate(t)
	o := NewOrigin(t, answering(gated(reads, Text("old", "Cache-Control", "max-age=60")), gated(writes, Status(204))))
	g := behind(t, o.URL, "cache_body: true", "", "")
	old := g.Go("/a")
	reads.Came(t)
	accepted(t, g, "PUT", "/a", "new")
	reads.Open()
	g.Await(old)
	if r := g.Get("/a"); r.Body != "new" {
		t.Errorf("%+v", r)
	}
	writes.Open()
}
