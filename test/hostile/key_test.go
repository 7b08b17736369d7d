package hostile

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestK1_HostsSchemesAndRoutes(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	o := serve(t, func(c *call) {
		c.ok("Cache-Control: max-age=60\r\n", fmt.Sprintf("%d %s %s%s", n.Add(1), c.field("X-Forwarded-Proto"), c.field("X-Forwarded-Host"), c.target()))
	})
	g := start(t, o, `  - {name: one, match: {path: "/one/*"}, upstream: origin, cache: {enabled: true}, rewrite: {strip_prefix: /one}}
  - {name: two, match: {path: "/two/*"}, upstream: origin, cache: {enabled: true}, rewrite: {strip_prefix: /two}}
  - {name: host, match: {host: c.example, path: "/*"}, upstream: origin, cache: {enabled: true}}
`+everything, "trusted_proxies: []", "trusted_proxies: [127.0.0.1/32]")
	seen := map[string]string{}
	for range 2 {
		for _, head := range []string{
			"GET /x HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-Proto: http\r\n\r\n",
			"GET /x HTTP/1.1\r\nHost: b.example\r\nX-Forwarded-Proto: http\r\n\r\n",
			"GET /x HTTP/1.1\r\nHost: c.example\r\nX-Forwarded-Proto: http\r\n\r\n",
			"GET /x HTTP/1.1\r\nHost: a.example:8080\r\nX-Forwarded-Proto: http\r\n\r\n",
			"GET /x HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-Proto: https\r\n\r\n",
			"GET /one/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
			"GET /two/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
		} {
			a := g.raw(head)
			if before, again := seen[head]; again && a.body != before {
				t.Errorf("%q: %q, before %q", head, a.body, before)
			} else if !again {
				for other, body := range seen {
					if body == a.body {
						t.Errorf("%q and %q share %q", head, other, body)
					}
				}
			}
			seen[head] = a.body
		}
	}
	if got := len(o.seen()); got != 7 {
		t.Errorf("the origin was asked %d times for 7 objects: %v", got, o.targets())
	}
}

func TestK2_CraftedKeys(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) {
		c.ok("Cache-Control: max-age=60\r\nVary: X-V\r\n", c.field("X-Forwarded-Host")+" "+c.target()+" "+c.field("X-V"))
	})
	g := start(t, o, everything)
	type request struct{ host, target, v string }
	requests := []request{
		{"a.example", "/x", ""}, {"a.example", "/x", "1"}, {"a.example", "/x::__vary", ""}, {"a.example", "/x::vary:X-V=1", ""}, {"a.example", "/x%1fX-V", ""},
		{"a.example", "/x?a", ""}, {"a.example", "/x?a=", ""}, {"a.example", "/x?a=1&b=2", ""}, {"a.example", "/x?a=1%26b=2", ""},
		{"a.example", "/x?a=1;b=2", ""}, {"a.example", "/x?b=2&a=1", ""}, {"a.example", "/x?a=1&a=2", ""}, {"a.example", "/x?a=2&a=1", ""}, {"a.example", "/x%3Fa", ""},
		{"a.example", "/x/", ""}, {"a.example", "/X", ""}, {"a.example", "/x%20", ""}, {"a.example", "/x+", ""}, {"a.example", "/x?%61=1", ""}, {"a.example", "/x?a=1", ""},
		{"aa.example", "/x", ""}, {"a.example", "/example/x", ""}, {"a.example", "/x", "1,2"}, {"a.example", "/x", "12"},
	}
	for range 2 {
		for _, r := range requests {
			fields := ""
			if r.v != "" {
				fields = "X-V: " + r.v + "\r\n"
			}
			a := g.raw("GET " + r.target + " HTTP/1.1\r\nHost: " + r.host + "\r\n" + fields + "\r\n")
			if a.status == 400 && strings.Contains(r.target, "%1f") {
				continue
			}
			want := r.host + " " + r.target + " " + r.v
			if a.status != 200 || a.body != want {
				t.Errorf("%v: %d %q", r, a.status, a.body)
			}
		}
	}
}

// reflecting answers, storable, with the exact head that it got: what reaches it reaches everybody.
func reflecting(t *testing.T) *origin {
	return serve(t, func(c *call) { c.ok("Cache-Control: max-age=60\r\n", c.head) })
}

func TestK3_UnkeyedFields(t *testing.T) {
	t.Parallel()
	o := reflecting(t)
	g := start(t, o, everything)
	for i, name := range []string{
		"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Scheme", "X-Forwarded-Prefix", "X-Forwarded-For", "X-Forwarded-Server", "X-Forwarded-Anything",
		"Forwarded", "X-Host", "X-Original-URL", "X-Original-Host", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Real-IP", "True-Client-IP",
		"CF-Connecting-IP", "X-Scheme", "Proxy", "X-Client-IP", "Remote-User",
	} {
		target := fmt.Sprintf("/k3/%d", i)
		g.get(target, name+": poison\r\n")
		g.get(target, strings.ToLower(name)+": poison\r\n")
		if a := g.get(target, ""); !a.hit() || strings.Contains(a.body, "poison") {
			t.Errorf("%s: the next client got %q", name, a.body)
		}
	}
	o.mustNotHave("poison")
}

func TestK4_UnderscoreAliases(t *testing.T) {
	t.Parallel()
	o := reflecting(t)
	g := start(t, o, everything)
	for _, name := range []string{
		"X_Forwarded_Proto", "X_Forwarded-Host", "X-Forwarded_For", "Remote_User", "X_Real_IP", "x_http_method_override", "Content_Length", "Transfer_Encoding", "X_Original_URL",
	} {
		g.get("/k4/"+name, name+": poison\r\n")
	}
	o.mustNotHave("poison")
	if a := g.get("/own", "X_My_Field: kept\r\n"); !strings.Contains(a.body, "kept") {
		t.Error("a field that is an alias of nothing was dropped")
	}
}

func TestK5_FatGet(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) { c.ok("Cache-Control: max-age=60\r\n", "body="+c.body()) })
	g := start(t, o, everything)
	if a := g.get("/fat", "Content-Length: 6\r\n\r\npoison"); a.status != 200 && a.status != 400 {
		t.Errorf("%d", a.status)
	}
	if a := g.get("/fat", ""); strings.Contains(a.body, "poison") {
		t.Errorf("the next client got %q", a.body)
	}
	if a := g.raw("GET /fat2 HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n"); a.status != 200 && a.status != 400 {
		t.Errorf("%d", a.status)
	}
	if a := g.get("/fat2", ""); strings.Contains(a.body, "poison") {
		t.Errorf("the next client got %q", a.body)
	}
}

func TestK5_Query(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	for range 2 { // what is keyed is what was sent: every spelling is its own object
		for _, query := range []string{"?a=1&b=2", "?a=1;b=2", "?b=2&a=1", "?a=1&a=1", "?a=1", "?a=1&", "?&a=1", "?a=%31", "?A=1", "?a=1&utm_source=x"} {
			if a := g.get("/q"+query, ""); a.body != "/q"+query {
				t.Errorf("%s: %q", query, a.body)
			}
		}
	}
	if a := g.get("/q?"+strings.Repeat("a&", 3000), ""); a.status != 400 && a.status != 414 {
		t.Errorf("3001 parameters: %d", a.status)
	}
	if a := g.get("/q?"+strings.Repeat("a;", 1500), ""); a.status != 400 && a.status != 414 {
		t.Errorf("1501 parameters by semicolons: %d", a.status)
	}
	if a := g.get("/q?"+strings.Repeat("abcdefgh=&", 1001), ""); a.status != 400 && a.status != 414 {
		t.Errorf("a long query: %d", a.status)
	}
}

func TestK5_ExcludedParameterIsReflected(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, `  - {name: all, match: {path: "/*"}, upstream: origin, cache: {enabled: true, key: {query: {exclude: [utm_*]}}}}`)
	g.get("/?a=1&utm_source=poison", "")
	if a := g.get("/?a=1", ""); strings.Contains(a.body, "poison") {
		t.Errorf("the next client got %q", a.body)
	}
}

func TestK6_Vary(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) {
		fields := "Cache-Control: max-age=60\r\n"
		switch c.target() {
		case "/star":
			fields += "Vary: *\r\n"
		case "/starred":
			fields += "Vary: Accept\r\nVary: *\r\n"
		case "/lines":
			fields += "Vary: X-A\r\nVary: X-B\r\n"
		default:
			fields += "Vary: User-Agent\r\n"
		}
		c.ok(fields, strings.Join([]string{c.field("X-A"), c.field("X-B"), c.field("User-Agent"), c.field("Cookie")}, "|"))
	})
	g := start(t, o, `  - {name: all, match: {path: "/*"}, upstream: origin, cache: {enabled: true, vary: {max_variants: 4}}}`)
	for _, target := range []string{"/star", "/starred"} {
		for range 3 {
			if a := g.get(target, ""); a.hit() {
				t.Errorf("%s was reused", target)
			}
		}
	}
	for range 2 {
		for _, ab := range []string{"1|1", "1|2", "2|1", "2|2"} {
			x, y, _ := strings.Cut(ab, "|")
			if a := g.get("/lines", "X-A: "+x+"\r\nX-B: "+y+"\r\n"); a.body != ab+"||" {
				t.Errorf("%s: %q", ab, a.body)
			}
		}
	}
	hits := 0
	for round := range 2 {
		for i := range 40 {
			agent := fmt.Sprintf("agent-%d", i)
			a := g.get("/agents", "User-Agent: "+agent+"\r\n")
			if a.body != "||"+agent+"|" {
				t.Errorf("%s got %q", agent, a.body)
			}
			if round == 1 && a.hit() {
				hits++
			}
		}
	}
	if hits > 4 {
		t.Errorf("%d variants were stored, 4 are allowed", hits)
	}
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestK7_Codings(t *testing.T) {
	t.Parallel()
	plain := strings.Repeat("words that compress well, ", 100)
	o := serve(t, func(c *call) {
		fields := "Content-Type: text/plain\r\nCache-Control: max-age=60\r\n"
		switch c.target() {
		case "/gzip": // whatever the client takes, and without a word of Vary
			c.ok(fields+"Content-Encoding: gzip\r\n", zipped(t, plain))
		case "/unknown":
			c.ok(fields+"Content-Encoding: rot13\r\n", "jbeqf")
		case "/double":
			c.ok(fields+"Content-Encoding: gzip, gzip\r\n", zipped(t, zipped(t, plain)))
		default:
			c.ok(fields, plain)
		}
	})
	g := start(t, o, `  - {name: coded, match: {path: "/coded/*"}, upstream: origin, cache: {enabled: true}, compress: {encodings: [br, gzip]}}
`+everything)
	unzip := func(a answer) string {
		for coding := range strings.SplitSeq(a.header.Get("Content-Encoding"), ", ") {
			if coding != "gzip" {
				continue
			}
			r, err := gzip.NewReader(strings.NewReader(a.body))
			if err != nil {
				return err.Error()
			}
			text, err := io.ReadAll(r)
			if err != nil {
				return err.Error()
			}
			a.body = string(text)
		}
		return a.body
	}
	for range 2 {
		for _, target := range []string{"/gzip", "/plain", "/coded/x"} {
			for _, c := range []struct {
				accept string
				gzip   bool // may be the answer
			}{
				{"", target == "/gzip"}, {"Accept-Encoding: identity\r\n", false}, {"Accept-Encoding: gzip\r\n", true}, {"Accept-Encoding: gzip;q=0\r\n", false},
				{"Accept-Encoding: gzip;q=0.000, identity\r\n", false}, {"Accept-Encoding: foo, bar\r\n", false}, {"Accept-Encoding: *;q=0, gzip\r\n", true},
				{"Accept-Encoding: identity;q=0, gzip\r\n", true}, {"Accept-Encoding: x-gzip\r\n", true}, {"Accept-Encoding: GZIP\r\n", true}, {"Accept-Encoding: identity;q=0\r\n", true},
			} {
				a := g.get(target, c.accept)
				coding := a.header.Get("Content-Encoding")
				if a.status == http.StatusNotAcceptable && strings.Contains(c.accept, "identity;q=0") {
					continue
				}
				if a.status != 200 || coding == "gzip" && !c.gzip || coding == "br" && !strings.Contains(c.accept, "*") && !strings.Contains(c.accept, "identity;q=0") || coding != "br" && unzip(a) != plain {
					t.Errorf("%s with %q: %d, coding %q, %d bytes, %v %v", target, c.accept, a.status, coding, len(a.body), a.err, a.header)
				}
			}
		}
		if a := g.get("/unknown", "Accept-Encoding: gzip\r\n"); a.body != "jbeqf" || a.header.Get("Content-Encoding") != "rot13" {
			t.Errorf("unknown coding: %q %v", a.body, a.header)
		}
		for _, accept := range []string{"Accept-Encoding: gzip\r\n", "Accept-Encoding: identity\r\n"} {
			if a := g.get("/double", accept); unzip(a) != plain {
				t.Errorf("double coding with %q: %v, %d bytes", accept, a.header, len(a.body))
			}
		}
	}
}

// TestK8_SharedByCoalescing holds the first answer back until the others wait for it. Each must get its own.
func TestK8_SharedByCoalescing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ request, response string }{
		"Authorization": {"Authorization: Bearer %d\r\n", "Cache-Control: max-age=60\r\n"},
		"Set-Cookie":    {"Cookie: id=%d\r\n", "Cache-Control: max-age=60\r\nSet-Cookie: id=%d\r\n"},
		"private":       {"Cookie: id=%d\r\n", "Cache-Control: private, max-age=60\r\n"},
		"no-store":      {"Cookie: id=%d\r\n", "Cache-Control: no-store\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 8
			release := make(chan struct{})
			var first sync.Once
			o := serve(t, func(k *call) {
				first.Do(func() { <-release })
				id := strings.TrimLeft(k.field("Authorization")+k.field("Cookie"), "Bearid =")
				number, _ := strconv.Atoi(id)
				k.ok(strings.ReplaceAll(c.response, "%d", strconv.Itoa(number)), "secret of "+id)
			})
			g := start(t, o, everything)
			var all sync.WaitGroup
			for i := range n {
				conn := g.dial()
				all.Go(func() {
					fmt.Fprintf(conn, "GET /k8 HTTP/1.1\r\nHost: example.com\r\n"+c.request+"\r\n", i)
					a, err := conn.tryReceive("GET")
					if err != nil || a.status != 200 || a.body != fmt.Sprintf("secret of %d", i) {
						t.Errorf("client %d got %d %q %v", i, a.status, a.body, err)
					}
					if cookie := a.header.Get("Set-Cookie"); name == "Set-Cookie" && cookie != fmt.Sprintf("id=%d", i) {
						t.Errorf("client %d got the cookie %q", i, cookie)
					}
				})
			}
			eventually(t, "the origin is asked", func() bool { return len(o.seen()) > 0 })
			time.Sleep(100 * time.Millisecond) // most of the others are waiting by now; none needs to be
			close(release)
			all.Wait()
			if a := g.get("/k8", ""); a.hit() || a.body != "secret of " {
				t.Errorf("a stranger got %q %v", a.body, a.header)
			}
			if len(o.seen()) != n+1 {
				t.Errorf("the origin was asked %d times by %d clients", len(o.seen()), n+1)
			}
		})
	}
}

func TestK9_Deception(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) {
		kind := "text/html"
		if strings.HasSuffix(c.target(), ".json.css") {
			kind = "application/json"
		}
		if strings.HasSuffix(c.target(), "real.css") {
			kind = "text/css; charset=utf-8"
		}
		c.ok("Content-Type: "+kind+"\r\n", "secret of "+c.field("Cookie"))
	})
	g := start(t, o, `  - name: all
    match: {path: "/*"}
    upstream: origin
    cache: {enabled: true}
    cache_control: [{when: {extension: [css, js, jpg, png, ico]}, set: "public, max-age=3600"}]`)
	for _, target := range []string{
		"/account/x.css", "/account;x.css", "/account%3bx.css", "/account%2fx.css", "/account%23x.css", "/account%3fx.css", "/account%0ax.css", "/account%00x.css",
		"/account/x.json.css", "/account/x.jpg", "/account/.css", "/account?x.css", "/account/%2e%2e/x.css", "/static/..%2faccount", "/static/..%2faccount.css",
		"/static/%2e%2e/account", "/static/../account?x.css", "/account/x.css%20", "/account/x.CSS", "/account/x.css;v=1", "/account/x.css/", "/account//x.ico", "/account%5cx.css",
	} {
		victim := g.get(target, "Cookie: victim\r\n")
		time.Sleep(20 * time.Millisecond) // the victim's call is over: nothing but a store could give its answer to others
		attacker := g.get(target, "")
		if strings.Contains(attacker.body, "victim") || attacker.hit() {
			t.Errorf("%s: the attacker got %q", target, attacker.body)
		}
		if victim.status != 200 && victim.status != 400 {
			t.Errorf("%s: %d", target, victim.status)
		}
	}
	g.get("/static/real.css", "")
	if a := g.get("/static/real.css", ""); !a.hit() || a.header.Get("Cache-Control") != "public, max-age=3600" {
		t.Errorf("a real style sheet is not stored: %v", a.header)
	}
}

func TestK10_CachedErrors(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) {
		status := 200
		switch {
		case len(c.field("X-Oversized")) > 10_000:
			status = 431
		case c.field("X-Method") != "", c.field("X-Http-Method-Override") != "":
			status = 405
		case c.field("Accept") == "bad":
			status = 406
		case c.field("X-Bad") != "":
			status, _ = strconv.Atoi(c.field("X-Bad"))
		case c.field("Range") == "bytes=bad":
			status = 416
		}
		c.send(fmt.Sprintf("HTTP/1.1 %d Status\r\nContent-Length: 2\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\nok", status))
	})
	g := start(t, o, `  - {name: all, match: {path: "/*"}, upstream: origin, cache: {enabled: true, ttl: {default: 60s}}}`)
	attacks := []string{
		"X-Oversized: " + strings.Repeat("a", 20_000) + "\r\n", "X-Huge: " + strings.Repeat("a", 64_000) + "\r\n", "X-Bell: \a\r\n", "X-HTTP-Method-Override: POST\r\n", "X-Method: POST\r\n",
		"Accept: bad\r\n", "Range: bytes=bad\r\n", "Range: lines=1-2\r\n",
	}
	for _, status := range []int{400, 405, 406, 408, 413, 414, 415, 416, 421, 425, 429, 431, 500, 501, 502, 503, 504, 505} {
		attacks = append(attacks, fmt.Sprintf("X-Bad: %d\r\n", status))
	}
	for i, fields := range attacks {
		target := fmt.Sprintf("/k10/%d", i)
		attack := g.get(target, fields)
		if a := g.get(target, ""); a.status != 200 || a.body != "ok" {
			t.Errorf("after %.40q (%d) the next client got %d %v", fields, attack.status, a.status, a.header)
		}
	}
	g.get("/good", "")
	if a := g.get("/good", ""); !a.hit() {
		t.Error("a good answer is not stored")
	}
}

func TestK11_HopByHopAbuse(t *testing.T) {
	t.Parallel()
	o := reflecting(t)
	g := start(t, o, everything)
	a := g.get("/k11", "Connection: close, Authorization, Cookie, X-Real-IP, X-Forwarded-For, X-Forwarded-Host, Cache-Control, Host, Age, Via, X-Mine, Content-Length, Transfer-Encoding\r\n"+
		"Authorization: Basic a\r\nCookie: b\r\nX-Mine: dropped\r\nKeep-Alive: dropped\r\nProxy-Authorization: dropped\r\nProxy-Connection: dropped\r\nTE: gzip, dropped\r\nTrailer: dropped\r\n")
	for _, want := range []string{"Authorization: Basic a", "Cookie: b", "X-Real-Ip: 127.0.0.1", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: example.com", "Host: "} {
		if !strings.Contains(a.body, want+"") {
			t.Errorf("the origin did not get %q:\n%s", want, a.body)
		}
	}
	if strings.Contains(a.body, "dropped") || strings.Contains(a.body, "\r\nConnection") {
		t.Errorf("the origin got fields that end at the gateway:\n%s", a.body)
	}
	if a := g.get("/k11", ""); a.hit() {
		t.Error("a request with Authorization was made storable by Connection")
	}
}

func TestK11_ResponseCanNotLoseItsFields(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) {
		c.ok("Connection: Cache-Control, Set-Cookie, Vary, X-Mine\r\nCache-Control: private\r\nSet-Cookie: a=b\r\nVary: Cookie\r\nX-Mine: x\r\nKeep-Alive: timeout=5\r\n", "secret")
	})
	g := start(t, o, `  - {name: all, match: {path: "/*"}, upstream: origin, cache: {enabled: true, ttl: {default: 60s}}}`)
	g.get("/", "")
	a := g.get("/", "")
	if a.hit() || a.header.Get("Cache-Control") != "private" || a.header.Get("Set-Cookie") != "a=b" || a.header.Get("X-Mine") != "" || a.header.Get("Keep-Alive") != "" {
		t.Errorf("%v", a.header)
	}
}

func TestK12_Paths(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, `  - {name: api, match: {path: "/api/*"}, upstream: origin, cache: {enabled: true}, rewrite: {strip_prefix: /api, add_prefix: /inner}}
  - {name: admin, match: {path: "/admin/*"}, upstream: origin, rewrite: {strip_prefix: /admin, add_prefix: /ADMIN}}
`+everything)
	for sent, want := range map[string]string{ // want "": 400
		"/a":                    "/a",
		"//a":                   "//a",
		"/b//../a":              "/b/a",
		"/./a":                  "/a",
		"/%2e/a":                "/a",
		"/b/../a":               "/a",
		"/b/%2e%2E/a":           "/a",
		"/b/.%2e/a":             "/a",
		"/%61":                  "/a",
		"/a%2fb":                "/a%2Fb",
		"/a%2Fb":                "/a%2Fb",
		"/a%7eb":                "/a~b",
		"/a;v=1":                "/a;v=1",
		"/a%3Bv=1":              "/a%3Bv=1",
		"/%ff%FE":               "/%FF%FE",
		"/\xff":                 "/%FF",
		"/api/x":                "/inner/x",
		"/api//x":               "/inner//x",
		"/api/../admin/x":       "/ADMIN/x",
		"/api/%2e%2e/admin/x":   "/ADMIN/x",
		"//admin/x":             "", // the origin might take it for /admin/x
		"/.//admin/x":           "",
		"//admin":               "//admin",
		"/%61dmin/x":            "/ADMIN/x",
		"/./admin/./x":          "/ADMIN/x",
		"/api/..%2fadmin/x":     "",
		"/api/..;/admin/x":      "",
		"/api/%2e%2e;a=b/x":     "",
		"/api/..%5cadmin":       "",
		"/api\\..\\admin":       "",
		"/a%5cb":                "",
		"/a%":                   "",
		"/a%2":                  "",
		"/a%zz":                 "",
		"/a%u002e":              "",
		"/../../../etc/passwd":  "/etc/passwd",
		"/%2e%2e/%2e%2e/passwd": "/passwd",
		"/a#b":                  "",
		"/a%23b":                "/a%23b",
		"/a%3fb":                "/a%3Fb",
		"/a%252e":               "/a%252e",
	} {
		for range 2 { // the second time perhaps from the store
			a := g.get(sent, "")
			switch {
			case want == "" && a.status != 400:
				t.Errorf("%q: %d %q, want 400", sent, a.status, a.body)
			case want != "" && (a.status != 200 || a.body != want):
				t.Errorf("%q: %d %q, want %q", sent, a.status, a.body, want)
			}
		}
	}
	if n := len(slices.DeleteFunc(o.targets(), func(s string) bool { return s != "GET /a" })); n != 1 {
		t.Errorf("/a was asked for %d times: its spellings have several entries", n)
	}
}

func TestK14_WhatMustNotBeStored(t *testing.T) {
	t.Parallel()
	var bad atomic.Bool
	bad.Store(true)
	const fresh = "Cache-Control: max-age=60\r\n"
	o := serve(t, func(c *call) {
		if !bad.Load() {
			c.ok(fresh, "whole")
			return
		}
		switch c.target() {
		case "/304":
			c.send("HTTP/1.1 304 Not Modified\r\n" + fresh + "ETag: \"new\"\r\n\r\n")
		case "/206":
			c.send("HTTP/1.1 206 Partial Content\r\n" + fresh + "Content-Range: bytes 0-1/5\r\nContent-Length: 2\r\n\r\nwh")
		case "/206none":
			c.send("HTTP/1.1 206 Partial Content\r\n" + fresh + "Content-Length: 2\r\n\r\nwh")
		case "/short":
			c.send("HTTP/1.1 200 OK\r\n" + fresh + "Content-Length: 5\r\n\r\nwh")
			c.hangUp()
		case "/chunk":
			c.send("HTTP/1.1 200 OK\r\n" + fresh + "Transfer-Encoding: chunked\r\n\r\n5\r\nwh")
			c.hangUp()
		case "/nolast":
			c.send("HTTP/1.1 200 OK\r\n" + fresh + "Transfer-Encoding: chunked\r\n\r\n2\r\nwh\r\n")
			c.hangUp()
		case "/badchunk":
			c.send("HTTP/1.1 200 OK\r\n" + fresh + "Transfer-Encoding: chunked\r\n\r\n2\r\nwh\r\nzz\r\n")
			c.hangUp()
		case "/gzip":
			body := zipped(t, strings.Repeat("whole", 100))
			c.send("HTTP/1.1 200 OK\r\n" + fresh + "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + body[:5] + "\r\n")
			c.hangUp()
		}
	})
	g := start(t, o, everything)
	for _, target := range []string{"/304", "/206", "/206none", "/short", "/chunk", "/nolast", "/badchunk", "/gzip"} {
		bad.Store(true)
		c := g.dial()
		c.send("GET " + target + " HTTP/1.1\r\nHost: example.com\r\n\r\n")
		a, err := c.tryReceive("GET")
		if err == nil && a.err == nil && a.status == 200 {
			t.Errorf("%s: a broken answer looks whole: %q", target, a.body)
		}
		bad.Store(false)
		if a := g.get(target, ""); a.status != 200 || a.body != "whole" {
			t.Errorf("%s: the next client got %d %q %v", target, a.status, a.body, a.header)
		}
	}
}

func TestK14_HeadAndValidation(t *testing.T) {
	t.Parallel()
	var version atomic.Int64
	o := serve(t, func(c *call) {
		tag := fmt.Sprintf("\"%d\"", version.Load())
		fields := "Cache-Control: max-age=0\r\nETag: " + tag + "\r\n"
		switch {
		case c.method() == "HEAD":
			c.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: " + tag + "\r\nContent-Length: 999\r\n\r\n")
		case c.field("If-None-Match") != "":
			c.send("HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\nETag: \"other\"\r\n\r\n") // validates something else
		default:
			c.ok(fields, fmt.Sprintf("version %d", version.Load()))
		}
	})
	g := start(t, o, everything)
	if a := g.raw("HEAD /cold HTTP/1.1\r\nHost: example.com\r\n\r\n"); a.status != 200 {
		t.Errorf("HEAD: %d", a.status)
	}
	if a := g.get("/cold", ""); a.hit() || a.body != "version 0" {
		t.Errorf("after HEAD: %q %v", a.body, a.header)
	}
	g.get("/x", "")
	version.Add(1)
	g.raw("HEAD /x HTTP/1.1\r\nHost: example.com\r\n\r\n") // other length, other tag: what is stored is old
	if a := g.get("/x", ""); a.body != "version 1" {
		t.Errorf("after a HEAD that differs: %d %q %v", a.status, a.body, a.header)
	}
	g.get("/y", "")
	version.Add(1)
	if a := g.get("/y", ""); a.status != 200 || a.body != "version 2" {
		t.Errorf("after a 304 with another ETag: %d %q %v", a.status, a.body, a.header)
	}
}

func TestK15_Numbers(t *testing.T) {
	t.Parallel()
	rows := []struct {
		fields string
		reused bool
	}{
		{"Cache-Control: max-age=60", true},
		{"Cache-Control: max-age=0060", true},
		{"Cache-Control: max-age=2147483648", true},
		{"Cache-Control: max-age=9223372036854775808", true},
		{"Cache-Control: max-age=99999999999999999999999999", true},
		{"Cache-Control: MAX-AGE=60", true},
		{"Cache-Control: max-age=-1", false},
		{"Cache-Control: max-age=", false},
		{"Cache-Control: max-age=a", false},
		{"Cache-Control: max-age=1 2", false},
		{"Cache-Control: max-age =60", false},
		{"Cache-Control: max-age=0,max-age=60", false},
		{"Cache-Control: max-age=60\r\nAge: 61", false},
		{"Cache-Control: max-age=60\r\nAge: 9223372036854775808", false},
		{"Cache-Control: max-age=60\r\nAge: 2147483648", false},
		{"Cache-Control: max-age=60\r\nAge: -1", true}, // RFC 9111 section 5.1: an invalid Age is ignored
		{"Cache-Control: max-age=60\r\nAge: abc", true},
		{"Expires: 0", false},
		{"Expires: -1", false},
		{"Expires: garbage", false},
		{"Cache-Control: max-age=0\r\nExpires: Thu, 01 Jan 2099 00:00:00 GMT", false},
		{"Cache-Control: max-age=60\r\nExpires: 0", true},
		{"Cache-Control: no-store,max-age=60", false},
		{"Cache-Control: max-age=60\r\nCache-Control: no-store", false},
		{"Cache-Control: s-maxage=0,max-age=60", false},
	}
	o := serve(t, func(c *call) {
		i, _ := strconv.Atoi(c.target()[1:])
		c.ok(rows[i].fields+"\r\n", "x")
	})
	g := start(t, o, everything)
	for i, row := range rows {
		target := fmt.Sprintf("/%d", i)
		g.get(target, "")
		if a := g.get(target, ""); a.status != 200 || a.hit() != row.reused {
			t.Errorf("%q: reused %v, want %v (%s)", row.fields, a.hit(), row.reused, a.header.Get("Cache-Status"))
		}
	}
}

func TestK16_Tags(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) {
		tags := map[string]string{
			"/many": strings.Repeat("tag ", 10_000), "/long": strings.Repeat("t", 64_000), "/odd": "a,b c\xc3\xa9 ,, \"d\" e:f",
		}[c.target()]
		c.ok("Cache-Control: max-age=60\r\nSurrogate-Key: "+tags+"\r\n", c.target())
	})
	g := start(t, o, everything)
	for _, target := range []string{"/many", "/long", "/odd"} {
		for range 2 {
			if a := g.get(target, ""); a.status != 200 || a.body != target {
				t.Errorf("%s: %d %q", target, a.status, a.body)
			}
		}
	}
}

func TestK16_TagsAreNotSentOn(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) { c.ok("Cache-Control: max-age=60\r\nSurrogate-Key: a b\r\n", "x") })
	g := start(t, o, everything)
	for range 2 {
		if a := g.get("/", ""); a.header.Get("Surrogate-Key") != "" {
			t.Errorf("%v", a.header)
		}
	}
}

// TestK17_InvalidationRacesAFill: a fill that began before a write must not bring back what the write has changed.
func TestK17_InvalidationRacesAFill(t *testing.T) {
	t.Parallel()
	var version atomic.Int64
	half := make(chan struct{})
	var first sync.Once
	o := serve(t, func(c *call) {
		if c.method() == "PUT" {
			version.Add(1)
			c.ok("", "")
			return
		}
		body := fmt.Sprintf("version %d", version.Load())
		held := false
		first.Do(func() { held = true })
		if !held {
			c.ok("Cache-Control: max-age=60\r\n", body)
			return
		}
		c.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:4]))
		<-half
		c.send(body[4:])
	})
	g := start(t, o, everything)
	slow := g.dial()
	slow.send("GET /k17 HTTP/1.1\r\nHost: example.com\r\n\r\n")
	if _, err := slow.br.Peek(1); err != nil { // the fill is under way
		t.Fatal(err)
	}
	if a := g.raw("PUT /k17 HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1\r\n\r\nx"); a.status != 200 {
		t.Fatalf("PUT: %d", a.status)
	}
	if a := g.get("/k17", ""); a.body != "version 1" {
		t.Errorf("a read after the write joined the old fill: %q", a.body)
	}
	close(half)
	if a := slow.receive("GET"); a.body != "version 0" {
		t.Errorf("the slow client got %q", a.body)
	}
	for range 5 {
		if a := g.get("/k17", ""); a.body != "version 1" {
			t.Errorf("the old fill came back: %q %v", a.body, a.header)
		}
	}
}
