package build_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
)

// parts is a gateway whose route /page/{id} is made of the given parts, in YAML's flow style, all
// of them of one origin. further are keys of the route.
func parts(t *testing.T, o *Origin, parts string, further ...string) *Gateway {
	t.Helper()
	return Start(t, "upstreams:\n  o: {targets: ["+o.URL+"], timeouts: {connect: 30s, first_byte: 30s}}\nroutes:\n"+
		"  - name: page\n    match: {path: \"/page/{id}\"}\n    aggregate:\n      parts:\n        "+strings.ReplaceAll(strings.TrimSpace(parts), "\n", "\n        ")+
		"\n      timeout: 20s\n    cache: {enabled: true, early_refresh: 0}\n"+strings.Join(further, "\n")+
		"\n  - {name: rest, match: {path: \"/*\"}, upstream: o}\n")
}

// byPath answers each path with the content given, as JSON that stays fresh for a minute unless the
// content begins with a status or a field.
func byPath(answers map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		content, ok := answers[r.URL.RequestURI()]
		if !ok {
			http.Error(w, "no "+r.URL.RequestURI(), http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=60")
		for {
			line, rest, found := strings.Cut(content, "\n")
			name, value, field := strings.Cut(line, ": ")
			if !found || !field {
				break
			}
			w.Header().Set(name, value)
			content = rest
		}
		fmt.Fprint(w, content)
	}
}

func TestPartsMakeOneAnswer(t *testing.T) {
	o := NewOrigin(t, byPath(map[string]string{
		"/users/7":     `{"id": 12345678901234567890.10, "boss": 9, "na\u006de": "é"}`,
		"/orders?u=7":  `{"items": [{"item": "a"}, {"item": 2}, {"item": "a"}, {"item": null}]}`,
		"/users/9":     `{"id":9}`,
		"/items/a":     `"A"`,
		"/items/2":     `[2]`,
		"/search?q=x+": `true`,
	}))
	g := parts(t, o, `
user: {upstream: o, path: "/users/{id}"}
orders: {upstream: o, path: "/orders?u={id}", select: items}
boss: {upstream: o, path: "/users/{user.boss}"}
items: {upstream: o, path: "/items/{}", foreach: "orders.#.item"}
search: {upstream: o, path: "/search?q={query.q}"}`)
	r := g.Get("/page/7?q=x%20")
	want := `{"user":{"id": 12345678901234567890.10, "boss": 9, "na\u006de": "é"},"orders":[{"item": "a"}, {"item": 2}, {"item": "a"}, {"item": null}],` +
		`"boss":{"id":9},"items":["A",[2],"A",null],"search":true}`
	if r.Status != 200 || r.Body != want || r.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s\nwant %s", r.Status, r.Body, want)
	}
	if o.Calls() != 6 {
		t.Errorf("%d calls", o.Calls())
	}
	if r.Header.Get("X-Penstock-Partial") != "" || r.Header.Get("Cache-Control") != "max-age=60" {
		t.Errorf("%v", r.Header)
	}
	if status := r.Header.Get("Cache-Status"); !strings.Contains(status, "penstock/user;") || !strings.HasSuffix(status, "penstock; fwd=uri-miss; fwd-status=200; stored; ttl=60") {
		t.Errorf("Cache-Status: %s", status)
	}
	again := g.Get("/page/7?q=x%20")
	if !again.Hit() || again.Body != want || o.Calls() != 6 {
		t.Errorf("again: %s, %d calls", again.Header.Get("Cache-Status"), o.Calls())
	}
	if r := g.Get("/page/7?q=x%20", "If-None-Match", again.Header.Get("Etag")); r.Status != http.StatusNotModified {
		t.Errorf("with its own ETag: %d", r.Status)
	}
}

// A cached part costs no call when another part is fetched anew. The whole may be reused only as long
// as the part with the shortest lifetime.
func TestWholeIsReusedAsItsParts(t *testing.T) {
	answers := map[string]string{"/a/1": "Cache-Control: max-age=600\n1", "/b/1": "Cache-Control: max-age=5\n2"}
	for _, c := range []struct{ b, control string }{
		{"Cache-Control: max-age=5\n2", "max-age=5"},
		{"Cache-Control: max-age=5\nAge: 2\n2", "max-age=5"}, // 3 s left, and the Age of 2 s that is sent with it
		{"Cache-Control: private, max-age=5\n2", "private, no-cache"},
		{"Cache-Control: no-store\n2", "no-store"},
		{"Cache-Control: max-age=50, no-cache\nEtag: \"x\"\n2", "no-cache"},
		{"Cache-Control: max-age=5\nVary: *\n2", "no-store"},
		{"Cache-Control: max-age=5\nSet-Cookie: a=b\n2", "private, no-cache"},
		{"Cache-Control: \n2", "max-age=0"},
	} {
		answers["/b/1"] = c.b
		o := NewOrigin(t, byPath(answers))
		g := parts(t, o, "a: {upstream: o, path: \"/a/{id}\"}\nb: {upstream: o, path: \"/b/{id}\"}")
		if r := g.Get("/page/1"); r.Header.Get("Cache-Control") != c.control || r.Body != `{"a":1,"b":2}` || r.Header.Get("Set-Cookie") != "" {
			t.Errorf("%q: %s %v", c.b, r.Body, r.Header)
		}
		calls := o.Calls()
		g.Clock.Advance(6 * time.Second)
		if r := g.Get("/page/1"); r.Hit() || o.Calls() != calls+1 {
			t.Errorf("%q: after 6 s %s, %d calls more", c.b, r.Header.Get("Cache-Status"), o.Calls()-calls)
		}
	}
}

func TestPartsThatSayNothingFollowTheRoute(t *testing.T) {
	o := NewOrigin(t, byPath(map[string]string{"/a/1": "Cache-Control: \n1", "/b/1": "2"}))
	g := parts(t, o, "a: {upstream: o, path: \"/a/{id}\"}", "    compress: {enabled: true}")
	if r := g.Get("/page/1"); r.Header.Get("Cache-Control") != "" || g.Get("/page/1").Hit() {
		t.Errorf("without a default: %v", r.Header)
	}
	g = Start(t, "upstreams: {o: {targets: ["+o.URL+"]}}\nroutes:\n  - {name: page, match: {path: \"/page/{id}\"}, cache: {enabled: true, ttl: {default: 10s}},"+
		" aggregate: {parts: {a: {upstream: o, path: \"/a/{id}\"}, b: {upstream: o, path: \"/b/{id}\"}}}}\n")
	if r := g.Get("/page/1"); r.Header.Get("Cache-Control") != "max-age=10" || !g.Get("/page/1").Hit() {
		t.Errorf("with a default: %v", r.Header)
	}
}

// failing are the ways in which a part fails, by what its path begins with.
func failing(gate *Gate) http.HandlerFunc {
	good := byPath(map[string]string{"/good/1": `{"n":1}`})
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch strings.Split(r.URL.Path, "/")[1] {
		case "status":
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "gone":
			w.Header().Set("Cache-Control", "max-age=30")
			w.WriteHeader(http.StatusGone)
		case "redirect":
			http.Redirect(w, r, "/good/1", http.StatusFound)
		case "hang":
			gate.Wait()
		case "text":
			fmt.Fprint(w, "hello")
		case "two":
			fmt.Fprint(w, `{"a":1}{"a":2}`)
		case "deep":
			fmt.Fprint(w, strings.Repeat("[", 100_000))
		case "word":
			fmt.Fprint(w, `{"a":undefined}`)
		case "large":
			fmt.Fprintf(w, `"%s"`, strings.Repeat("x", 2<<20))
		case "break":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		default:
			good(w, r)
		}
	}
}

func TestPartThatFails(t *testing.T) {
	gate := NewGate(t)
	for _, how := range []string{"status", "gone", "redirect", "hang", "text", "two", "deep", "word", "large", "break"} {
		path := how
		for _, c := range []struct {
			keys, body string
			status     int
		}{
			{"on_error: omit", `{"good":{"n":1}}`, 200},
			{"on_error: null", `{"bad":null,"good":{"n":1}}`, 200},
			{"on_error: default, default: [1.0, {}]", `{"bad":[1.0,{}],"good":{"n":1}}`, 200},
			{"on_error: fail", "", map[string]int{"status": 503, "gone": 410, "hang": 504}[path]},
			{"on_error: stale", "", map[string]int{"status": 503, "gone": 410, "hang": 504}[path]},
		} {
			o := NewOrigin(t, failing(gate))
			timeout := "15s"
			if path == "hang" {
				timeout = "250ms"
			}
			g := parts(t, o, "bad: {upstream: o, path: \"/"+path+"/{id}\", max_body: 1MiB, timeout: "+timeout+", "+c.keys+"}\ngood: {upstream: o, path: \"/good/{id}\"}")
			r := g.Get("/page/1")
			want := c.status
			if want == 0 {
				want = http.StatusBadGateway
			}
			if r.Status != want || c.body != "" && r.Body != c.body {
				t.Errorf("%s, %s: %d %s, want %d %s", how, c.keys, r.Status, r.Body, want, c.body)
			}
			if c.body == "" {
				if want != 410 && want != 503 && !strings.Contains(r.Header.Get("Proxy-Status"), "error=") {
					t.Errorf("%s, %s: %v", how, c.keys, r.Header)
				}
				continue
			}
			if r.Header.Get("X-Penstock-Partial") != "bad" {
				t.Errorf("%s, %s: %v", how, c.keys, r.Header)
			}
			retry := "max-age=1"
			if path == "status" {
				retry = "max-age=3"
			}
			if r.Header.Get("Cache-Control") != retry {
				t.Errorf("%s, %s: Cache-Control %s, want %s", how, c.keys, r.Header.Get("Cache-Control"), retry)
			}
		}
	}
}

func TestStalePartStandsIn(t *testing.T) {
	gate := NewGate(t)
	for _, how := range []string{"error", "refused", "hang"} {
		o := NewOrigin(t, byPath(map[string]string{"/a/1": `"old"`}))
		g := parts(t, o, `a: {upstream: o, path: "/a/{id}", on_error: stale, timeout: 5s}`)
		if how == "hang" {
			g = parts(t, o, `a: {upstream: o, path: "/a/{id}", on_error: stale, timeout: 250ms}`)
		}
		g.Get("/page/1")
		g.Clock.Advance(time.Hour)
		switch how {
		case "error":
			o.Answer(Status(500))
		case "refused":
			o.Server.Close()
		default:
			o.Answer(func(http.ResponseWriter, *http.Request) { gate.Wait() })
		}
		r := g.Get("/page/1")
		if r.Status != 200 || r.Body != `{"a":"old"}` || r.Header.Get("X-Penstock-Partial") != "a" || r.Header.Get("Age") != "3600" {
			t.Errorf("%s: %d %s %v", how, r.Status, r.Body, r.Header)
		}
	}
}

// A part whose field is null has nothing to be asked for; one whose field is not there has failed,
// and so has what needs a part that is missing.
func TestPartThatNeedsWhatIsNotThere(t *testing.T) {
	o := NewOrigin(t, byPath(map[string]string{"/a/1": `{"boss":null}`}))
	g := parts(t, o, `
b: {upstream: o, path: "/b/{a.boss}"}
c: {upstream: o, path: "/b/{a.chief}", on_error: null}
e: {upstream: o, path: "/x/{}", foreach: "a.orders.#.id", on_error: omit}
f: {upstream: o, path: "/x/{c.x}", on_error: omit}
a: {upstream: o, path: "/a/{id}"}`)
	// An absent field is the same as null: a part that needs it is null, and there is nothing for
	// foreach to go over.
	if r := g.Get("/page/1"); r.Body != `{"b":null,"c":null,"e":[],"f":null,"a":{"boss":null}}` || r.Header.Get("X-Penstock-Partial") != "" || o.Calls() != 1 {
		t.Errorf("%s %v, %d calls", r.Body, r.Header, o.Calls())
	}
}

func TestForeachIsBounded(t *testing.T) {
	o := NewOrigin(t, byPath(map[string]string{"/list": `[{"id":1},{"id":2},{"id":3}]`, "/x/1": `1`, "/x/2": `2`}))
	g := parts(t, o, "list: {upstream: o, path: /list}\neach: {upstream: o, path: \"/x/{}\", foreach: \"list.#.id\", limit: 2, on_error: null}")
	if r := g.Get("/page/1"); !strings.HasSuffix(r.Body, `"each":null}`) || o.Calls() != 1 {
		t.Errorf("%s, %d calls", r.Body, o.Calls())
	}
	for keys, want := range map[string]string{
		"on_error: null": `[1,2,null]`, "on_error: omit": `[1,2]`, "on_error: default, default: 0": `[1,2,0]`,
	} {
		g = parts(t, o, "list: {upstream: o, path: /list}\neach: {upstream: o, path: \"/x/{}\", foreach: \"list.#.id\", "+keys+"}")
		if r := g.Get("/page/1"); !strings.HasSuffix(r.Body, `"each":`+want+`}`) || r.Header.Get("X-Penstock-Partial") != "each" {
			t.Errorf("%s: %s %v", keys, r.Body, r.Header)
		}
	}
}

// A part gets a field of the client's request only if the route names that field. A part that was
// fetched with one client's credentials answers only that client.
func TestPartsKeepClientsApart(t *testing.T) {
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "Accept-Language, User-Agent")
		fmt.Fprintf(w, "%q", r.Header.Get("Authorization")+r.Header.Get("Cookie")+r.Header.Get("Accept-Language")+r.Header.Get("User-Agent")+r.Header.Get("X-Other"))
	})
	secret := []string{"Authorization", "Bearer A", "Cookie", "b=1", "User-Agent", "x", "X-Other", "y", "Accept-Language", "de"}
	g := parts(t, o, `a: {upstream: o, path: "/a/{id}"}`)
	if r := g.Get("/page/1", secret...); r.Body != `{"a":""}` || r.Header.Get("Vary") != "" {
		t.Errorf("nothing named: %s %v", r.Body, r.Header)
	}
	g = parts(t, o, `a: {upstream: o, path: "/a/{id}", headers: [Accept-Language]}`)
	if r := g.Get("/page/1", secret...); r.Body != `{"a":"de"}` || r.Header.Get("Vary") != "Accept-Language" {
		t.Errorf("a language: %s %v", r.Body, r.Header)
	}
	for _, name := range []string{"Authorization", "Cookie"} {
		g = parts(t, o, `a: {upstream: o, path: "/a/{id}", headers: [`+name+`]}`)
		for _, value := range []string{"one", "two", "one"} {
			if r := g.Get("/page/1", name, value); r.Body != `{"a":"`+value+`"}` || r.Hit() || r.Header.Get("Cache-Control") != "private, no-cache" {
				t.Errorf("%s %s: %s %v", name, value, r.Body, r.Header)
			}
		}
		if r := g.Get("/page/1"); r.Body != `{"a":""}` {
			t.Errorf("without %s: %s", name, r.Body)
		}
	}
}

func TestR16_ValuesStayInTheirSegment(t *testing.T) {
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%q", r.RequestURI) })
	g := parts(t, o, `a: {upstream: o, path: "/a/{id}/x?y={id}"}`)
	for escaped, want := range map[string]string{
		"a%20b": "/a/a%20b/x?y=a+b", "a&b=c;d": "/a/a&b=c%3Bd/x?y=a%26b%3Dc%3Bd", "%3Fx%23": "/a/%3Fx%23/x?y=%3Fx%23", "a,b+": "/a/a%2Cb+/x?y=a%2Cb%2B", "%C3%A9": "/a/%C3%A9/x?y=%C3%A9",
	} {
		if r := g.Get("/page/" + escaped); r.Body != fmt.Sprintf(`{"a":%q}`, want) {
			t.Errorf("%s: %d %s, want %s", escaped, r.Status, r.Body, want)
		}
	}
	answers := map[string]string{}
	o.Answer(func(w http.ResponseWriter, r *http.Request) {
		if v, ok := answers[r.URL.Path]; ok {
			fmt.Fprint(w, v)
			return
		}
		fmt.Fprintf(w, "%q", r.RequestURI)
	})
	g = parts(t, o, "v: {upstream: o, path: \"/v/{id}\"}\na: {upstream: o, path: \"/a/{v.x}/z\", on_error: null}")
	for value, want := range map[string]string{
		`"../admin"`: "null", `"a/b"`: `"/a/a%2Fb/z"`, `".."`: "null", `"."`: "null", `""`: "null", `"a\r\nX: y"`: "null", `"a\u0000"`: "null", `"%2e%2e"`: "null", `"..\\x"`: "null", `"..;a"`: "null",
		`"a?b#c"`: `"/a/a%3Fb%23c/z"`, `{}`: "null", `1e400`: `"/a/1e400/z"`, `"http://evil/"`: `"/a/http:%2F%2Fevil%2F/z"`, `true`: `"/a/true/z"`,
	} {
		answers["/v/1"] = `{"x":` + value + `}`
		if r := g.Get("/page/1"); !strings.HasSuffix(r.Body, `"a":`+want+`}`) {
			t.Errorf("%s: %s, want %s", value, r.Body, want)
		}
	}
}

func TestMergeDeep(t *testing.T) {
	o := NewOrigin(t, byPath(map[string]string{"/a": `{"x":{"p":1},"y":1}`, "/b": `{"x":{"q":2},"z":[1]}`, "/c": `{"y":2,"x":{"p":3}}`, "/d": `[1]`}))
	route := func(keys string) *Gateway {
		return Start(t, "upstreams: {o: {targets: ["+o.URL+"]}}\nroutes: [{name: m, match: {path: /m}, aggregate: {merge: deep, parts: {a: {upstream: o, path: /a}, "+keys+"}}}]\n")
	}
	if r := route("b: {upstream: o, path: /b}, n: {upstream: o, path: /none, on_error: null}").Get("/m"); r.Body != `{"x":{"p":1,"q":2},"y":1,"z":[1]}` {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	for _, keys := range []string{"c: {upstream: o, path: /c}", "d: {upstream: o, path: /d}"} {
		if r := route(keys).Get("/m"); r.Status != http.StatusBadGateway {
			t.Errorf("%s: %d %s", keys, r.Status, r.Body)
		}
	}
}

// A write through the gateway invalidates the parts that were fetched from the same URL of the
// upstream, and the aggregates that contain them.
func TestWriteReachesParts(t *testing.T) {
	n := 0
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			n++
			return
		}
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, n)
	})
	g := parts(t, o, "a: {upstream: o, path: \"/a/{id}\"}\nb: {upstream: o, path: \"/b/{id}\"}")
	g.Get("/page/1")
	g.Do(http.MethodPut, "/a/1?x=y", strings.NewReader("x"))
	if r := g.Get("/page/1"); r.Body != `{"a":1,"b":0}` || o.Calls() != 4 {
		t.Errorf("%s %v, %d calls", r.Body, r.Header, o.Calls())
	}
}
