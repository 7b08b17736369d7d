package cache_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	. "github.com/penstock/penstock/test/gatewaytest"
)

const through = cached + "\nwrites: {policy: through}"

// values is an origin that keeps what is put at each path, and what it answers to a write is up to the test.
type values struct {
	mu     sync.Mutex
	at     map[string]string
	answer func(w http.ResponseWriter, r *http.Request, value string) // to a write; nil: 204
	fields []string                                                   // of what a GET brings
}

func (v *values) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == "GET" {
		v.mu.Lock()
		value, ok := v.at[r.URL.Path]
		v.mu.Unlock()
		if !ok {
			w.WriteHeader(404)
			return
		}
		Text(value, append([]string{"Cache-Control", "max-age=60"}, v.fields...)...)(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	v.mu.Lock()
	v.at[r.URL.Path] = string(body)
	if r.Method == "DELETE" {
		delete(v.at, r.URL.Path)
	}
	v.mu.Unlock()
	if v.answer == nil {
		w.WriteHeader(204)
		return
	}
	v.answer(w, r, string(body))
}

func TestThrough(t *testing.T) {
	echo := func(fields ...string) func(http.ResponseWriter, *http.Request, string) {
		return func(w http.ResponseWriter, r *http.Request, value string) {
			Text(value, append([]string{"Cache-Control", "max-age=60"}, fields...)...)(w, r)
		}
	}
	for _, tt := range []struct {
		name, method, route string
		answer              func(http.ResponseWriter, *http.Request, string)
		calls               int  // for a GET, the write, and two GETs
		hit                 bool // of the GET that follows the write
		refreshed           bool
	}{
		{"refetch", "PUT", "", nil, 3, true, true},
		{"refetch after PATCH", "PATCH", "", nil, 3, true, true},
		{"refetch after POST", "POST", "", nil, 3, true, true},
		{"refetch although there is content", "PUT", "", echo(), 3, true, true},
		{"it says that it is that", "PUT", "", echo("Content-Location", "/a"), 2, true, true},
		{"it says so of a POST", "POST", "", echo("Content-Location", "/a"), 2, true, true},
		{"the setting says so", "PUT", "response", echo(), 2, true, true},
		{"the setting says so of PATCH", "PATCH", "response", echo(), 2, true, true},
		{"the setting is not for POST", "POST", "response", echo(), 3, true, true},
		{"it is something else", "PUT", "response", echo("Content-Location", "/b"), 3, true, true},
		{"without content", "PUT", "response", nil, 3, true, true},
		{"not to be stored", "PUT", "response", echo("Cache-Control", "no-store"), 3, true, true},
		{"accepted", "PUT", "response", func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(202) }, 3, false, false},
		{"created", "PUT", "response", func(w http.ResponseWriter, r *http.Request, value string) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Location", "/a")
			w.WriteHeader(201)
			io.WriteString(w, value)
		}, 2, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &values{at: map[string]string{"/a": "old"}, answer: tt.answer}
			o := NewOrigin(t, v.ServeHTTP)
			route := through
			if tt.route != "" {
				route = cached + "\nwrites: {policy: through, refresh: " + tt.route + "}"
			}
			g := Route(t, o.URL, route)
			want(t, g.Get("/a"), 200, "old")
			g.Event()
			w := g.Do(tt.method, "/a", strings.NewReader("new"), "Content-Type", "text/plain")
			if w.Err != nil || w.Status >= 300 {
				t.Fatalf("%+v", w)
			}
			if tt.answer != nil && w.Status != 202 && w.Body != "new" {
				t.Errorf("the writer was answered with %q", w.Body)
			}
			if e := g.Event(); e.Refreshed != tt.refreshed {
				t.Errorf("refreshed: %t", e.Refreshed)
			}
			r := g.Get("/a")
			want(t, r, 200, "new")
			if r.Hit() != tt.hit || len(r.Header["Location"]) > 0 {
				t.Errorf("%v", r.Header)
			}
			wantHit(t, g.Get("/a"), "new")
			wantCalls(t, o, tt.calls)
		})
	}
}

func TestThroughDeletes(t *testing.T) {
	v := &values{at: map[string]string{"/a": "old"}}
	o := NewOrigin(t, v.ServeHTTP)
	g := Route(t, o.URL, through)
	g.Get("/a")
	g.Do("DELETE", "/a", nil)
	wantCalls(t, o, 2)
	want(t, g.Get("/a"), 404, "")
}

// TestThroughThatFails: what is stale goes, whatever becomes of its successor.
func TestThroughThatFails(t *testing.T) {
	for name, broken := range map[string]http.HandlerFunc{
		"error": Status(500), "not cacheable": Text("new", "Cache-Control", "no-store"), "private": Text("new", "Cache-Control", "private, max-age=60"),
		"broken off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := NewOrigin(t, Text("old", "Cache-Control", "max-age=60"))
			g := Route(t, o.URL, through)
			g.Get("/a")
			g.Event()
			o.Answer(answering(broken, Status(204)))
			if r := g.Do("PUT", "/a", strings.NewReader("new")); r.Status != 204 {
				t.Fatalf("%+v", r)
			}
			if g.Event().Refreshed && name != "error" {
				t.Error("said to be refreshed")
			}
			o.Answer(Text("new", "Cache-Control", "max-age=60"))
			if r := g.Get("/a"); r.Body != "new" {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestThroughOfOneIsNotForAnother: what is fetched with the writer's credentials is for those who may share it.
func TestThroughOfOneIsNotForAnother(t *testing.T) {
	for _, tt := range []struct {
		mode, control, vary string
		shared              bool
	}{
		{"rfc", "max-age=60", "", false},
		{"rfc", "max-age=60, public", "", true},
		{"rfc", "max-age=60, public", "Authorization", false},
		{"rfc", "private, max-age=60", "", false},
		{"never", "max-age=60, public", "", false},
		{"key", "max-age=60", "", false},
	} {
		for _, refresh := range []string{"refetch", "response"} {
			t.Run(fmt.Sprintf("%s %s %s %s", refresh, tt.mode, tt.control, tt.vary), func(t *testing.T) {
				o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Cache-Control", tt.control)
					if tt.vary != "" {
						w.Header().Set("Vary", tt.vary)
					}
					io.WriteString(w, "for "+r.Header.Get("Authorization"))
				})
				g := Route(t, o.URL, "cache: {enabled: true, early_refresh: 0, authorization: "+tt.mode+"}\nwrites: {policy: through, refresh: "+refresh+"}")
				want(t, g.Do("PUT", "/", strings.NewReader("x"), "Authorization", "alice"), 200, "for alice")
				who := "bob"
				if tt.shared {
					who = "alice"
				}
				want(t, g.Get("/", "Authorization", "bob"), 200, "for "+who)
			})
		}
	}
}

func TestThroughReadsAsTheWriterWould(t *testing.T) {
	o := NewOrigin(t, answering(Text("x", "Cache-Control", "max-age=60"), Status(204)))
	g := Route(t, o.URL, through)
	g.Do("PUT", "/a?b=c", strings.NewReader("x"), "Content-Type", "a/b", "If-Match", `"1"`, "X-Http-Method-Override", "PATCH", "Accept", "c/d", "Idempotency-Key", "k", "Cookie", "e=f")
	wantCalls(t, o, 2)
	get := o.Seen(1)
	if get.Method != "GET" || get.RequestURI != "/a?b=c" || get.Header.Get("Accept") != "c/d" || get.Header.Get("Cookie") != "e=f" {
		t.Errorf("%s %s %v", get.Method, get.RequestURI, get.Header)
	}
	for _, name := range []string{"Content-Type", "If-Match", "X-Http-Method-Override", "Idempotency-Key", "Content-Length", "Transfer-Encoding"} {
		if got := get.Header[name]; len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestThroughOnAnotherRoute: the representation is stored by the route that reads.
func TestThroughOnAnotherRoute(t *testing.T) {
	v := &values{at: map[string]string{"/v2/7": "old"}}
	o := NewOrigin(t, v.ServeHTTP)
	g := Start(t, "upstreams:\n  origin: {targets: ["+o.URL+"]}\nroutes:\n"+
		"  - {name: reads, match: {path: \"/users/{id}\", methods: [GET]}, upstream: origin, rewrite: {path: \"/v2/{id}\"}, cache: {enabled: true, tags: {from: [\"user:{id}\"]}}}\n"+
		"  - {name: writes, match: {path: \"/users/{id}\", methods: [PUT]}, upstream: origin, rewrite: {path: \"/v2/{id}\"}, "+
		"writes: {policy: through, targets: [\"tag:user:{id}\", \"/users/{id}\"]}}\n")
	want(t, g.Get("/users/7"), 200, "old")
	g.Do("PUT", "/users/7", strings.NewReader("new"))
	wantHit(t, g.Get("/users/7"), "new") // its own tag is among what the write makes stale
	g.Purge(t, "user:7")
	if r := g.Get("/users/7"); r.Hit() {
		t.Errorf("without its tag: %v", r.Header)
	}
}

// TestThroughOfTwoAtOnce: the answer to a write that another has overlapped is not believed.
func TestThroughOfTwoAtOnce(t *testing.T) {
	slow := NewGate(t)
	v := &values{at: map[string]string{}, answer: func(w http.ResponseWriter, r *http.Request, value string) {
		if value == "first" {
			slow.Wait() // it is applied, and its answer comes late
		}
		Text(value, "Cache-Control", "max-age=60", "Content-Location", r.URL.Path)(w, r)
	}}
	o := NewOrigin(t, v.ServeHTTP)
	g := Route(t, o.URL, through)
	first := make(chan *Response, 1)
	go func() { first <- g.Do("PUT", "/a", strings.NewReader("first")) }()
	slow.Came(t)
	want(t, g.Do("PUT", "/a", strings.NewReader("second")), 200, "second")
	wantHit(t, g.Get("/a"), "second")
	slow.Open()
	want(t, g.Await(first), 200, "first")
	wantHit(t, g.Get("/a"), "second")
}

// TestThroughOvertakesFills: what set out before the write is not put in the place of what it brought.
func TestThroughOvertakesFills(t *testing.T) {
	gate := NewGate(t)
	v := &values{at: map[string]string{"/a": "old"}}
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" && r.Header.Get("X-Slow") != "" {
			gated(gate, Text("old", "Cache-Control", "max-age=60"))(w, r)
			return
		}
		v.ServeHTTP(w, r)
	})
	g := Route(t, o.URL, through)
	old := g.Go("/a", "X-Slow", "1")
	gate.Came(t)
	g.Do("PUT", "/a", strings.NewReader("new"))
	wantHit(t, g.Get("/a"), "new")
	gate.Open()
	g.Await(old)
	wantHit(t, g.Get("/a"), "new")
}

func TestThroughOfLargeAnswers(t *testing.T) {
	large := strings.Repeat("x", 3<<20) // more than is kept
	v := &values{at: map[string]string{}, answer: func(w http.ResponseWriter, r *http.Request, value string) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Location", r.URL.Path)
		w.(http.Flusher).Flush() // the size is not known
		io.WriteString(w, value)
	}}
	o := NewOrigin(t, v.ServeHTTP)
	g := Route(t, o.URL, through)
	if r := g.Do("PUT", "/a", strings.NewReader(large)); r.Err != nil || r.Body != large {
		t.Fatalf("%d bytes, %v", len(r.Body), r.Err)
	}
	if r := g.Get("/a"); r.Body != large {
		t.Fatalf("%d bytes, %v", len(r.Body), r.Err)
	}
}

// TestThroughAlwaysShowsTheLastWrite: whatever is written how, and whatever the origin answers, a GET that begins after the answer to a write never
// finds anything older, nor does one of somebody else.
func TestThroughAlwaysShowsTheLastWrite(t *testing.T) {
	for _, vary := range []string{"", "Accept-Language", "Cookie"} {
		for _, refresh := range []string{"refetch", "response"} {
			t.Run(refresh+" "+vary, func(t *testing.T) { showLastWrite(t, vary, refresh) })
		}
	}
}

func showLastWrite(t *testing.T, vary, refresh string) {
	v := &values{at: map[string]string{}, fields: []string{"Vary", vary}}
	v.answer = func(w http.ResponseWriter, r *http.Request, value string) {
		fields := append([]string{"Cache-Control", "max-age=60"}, v.fields...)
		switch r.Header.Get("X-Answer") {
		case "none":
			w.WriteHeader(204)
			return
		case "located":
			fields = append(fields, "Content-Location", r.URL.Path)
		case "elsewhere":
			value, fields = "something else", append(fields, "Content-Location", "/else")
		case "no-store":
			value, fields = "something else", []string{"Cache-Control", "no-store"}
		}
		Text(value, fields...)(w, r)
	}
	o := NewOrigin(t, v.ServeHTTP)
	g := Route(t, o.URL, cached+"\nwrites: {policy: through, refresh: "+refresh+"}")
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		last := map[string]string{}
		for n := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			path := fmt.Sprintf("/%d/%s", round, rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "path"))
			language := rapid.SampledFrom([]string{"de", "en"}).Draw(rt, "language")
			if rapid.Bool().Draw(rt, "write") {
				answer := rapid.SampledFrom([]string{"none", "echo", "located", "elsewhere", "no-store"}).Draw(rt, "answer")
				method := rapid.SampledFrom([]string{"PUT", "PATCH"}).Draw(rt, "method")
				last[path] = fmt.Sprint(n)
				g.Do(method, path, strings.NewReader(last[path]), "Accept-Language", language, "Cookie", "c="+language, "X-Answer", answer)
			}
			r := g.Get(path, "Accept-Language", language, "Cookie", "c="+language)
			if value, ok := last[path]; ok && (r.Status != 200 || r.Body != value) {
				rt.Fatalf("%s: %d %q, want %q; %s", path, r.Status, r.Body, value, r.Header["Cache-Status"])
			}
		}
	})
}
