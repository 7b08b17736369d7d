package snapshot_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstock/penstock/proxy"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/explain"
	"github.com/penstock/penstock/proxy/observe"
)

// corsOrigin is an origin server that has its own mind about other origins: it repeats the first
// one that asks. Its answers follow from the path.
type corsOrigin struct {
	calls, preflights atomic.Int64
	seen              sync.Map // the targets that were asked for
}

func (o *corsOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.calls.Add(1)
	if r.Header.Get("Access-Control-Request-Method") != "" {
		o.preflights.Add(1)
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	h.Set("Access-Control-Allow-Methods", "BREW")
	h.Set("Access-Control-Expose-Headers", "X-Of-The-Origin")
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("Vary", "Accept-Language")
	h.Set("Etag", `"v1"`)
	switch kind := strings.Split(r.URL.Path, "/")[1]; kind {
	case "pass":
		h.Set("Cache-Control", "no-store")
	case "stale":
		h.Set("Cache-Control", "max-age=0, stale-if-error=600")
		if _, again := o.seen.LoadOrStore(r.RequestURI, true); again {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
	case "json":
		h.Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
		return
	case "gone", "paged":
		w.WriteHeader(http.StatusNotFound)
	case "varies":
		h.Set("Vary", "Origin, Accept-Language")
		_, _ = io.WriteString(w, "for "+r.Header.Get("Origin"))
		return
	case "broken":
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, "content")
}

// corsGateway runs the routes in front of a corsOrigin.
func corsGateway(t *testing.T, sink observe.Sink, routes string) (*proxy.Gateway, *corsOrigin) {
	t.Helper()
	o := new(corsOrigin)
	origin := httptest.NewServer(o)
	t.Cleanup(origin.Close)
	return runGateway(t, sink, "version: 1\nserver: {trusted_proxies: [203.0.113.0/24]}\nupstreams: {o: {targets: [\""+origin.URL+"\"]}}\nroutes:\n"+routes), o
}

const (
	appOrigin   = "https://app.example.com"
	otherOrigin = "https://x.example.org"
	evilOrigin  = "https://evil.example"
	corsRules   = `cors: {origins: ["https://app.example.com", "https://*.example.org"], methods: [GET, PUT], headers: [Content-Type], expose: [X-Total], credentials: true, max_age: 10m}`
	corsRoute   = `  - {name: all, match: {path: "/*", methods: [GET, HEAD, PUT]}, upstream: o, cache: {enabled: true}, ` + corsRules + "}\n"
)

// told is a response with its fields of the CORS protocol.
type told struct {
	status        int
	body, vary    string
	fields        string // of the CORS protocol, without their prefix
	cacheStatus   string
	contentLength int64
}

// ask sends a request with pairs of names and values.
func ask(t *testing.T, client *http.Client, method, url string, fields ...string) told {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		if fields[i+1] != "" {
			r.Header.Add(fields[i], fields[i+1])
		}
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		if short, ok := strings.CutPrefix(name, "Access-Control-"); ok {
			lines = append(lines, short+": "+strings.Join(resp.Header[name], " | "))
		}
	}
	return told{resp.StatusCode, string(body), strings.Join(resp.Header["Vary"], ", "), strings.Join(lines, "; "), resp.Header.Get("Cache-Status"), resp.ContentLength}
}

// allowing are the fields for an origin that corsRules allow.
func allowing(origin string) string {
	switch origin {
	case appOrigin, otherOrigin:
		return "Allow-Credentials: true; Allow-Origin: " + origin + "; Expose-Headers: X-Total"
	}
	return ""
}

// TestCORSHitsOfOneStoredResponse: on every protocol connections answer hits from one stored
// response, with each Origin and without one, and after any of them came first.
func TestCORSHitsOfOneStoredResponse(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			hits := new(wireHits)
			g, origin := corsGateway(t, hits, corsRoute)
			client, url := serveWired(t, g, protocol)
			get := func(method, from string, fields ...string) told {
				hits.pending.Add(1)
				return ask(t, client, method, url+"/a", append(fields, "Origin", from)...)
			}
			for range 20 { // an evil page warms the cache
				if got := get("GET", evilOrigin); got.status != 200 || got.fields != "" || got.vary != "Accept-Language, Origin" {
					t.Fatalf("an evil page got %+v", got)
				}
			}
			hits.pending.Wait()
			warm := hits.wire.Load()
			if warm == 0 {
				t.Fatal("connections answered no hit")
			}
			for range 3 {
				for _, from := range []string{appOrigin, "", otherOrigin, evilOrigin, "null", "*", "https://app.example.com.evil.example"} {
					said, err := g.Explain(t.Context(), explain.Question{URL: url + "/a", Header: explainLines("Origin", from)})
					if err != nil {
						t.Fatal(err)
					}
					if lines := shortLines(said.CORS.Fields); lines != allowing(from) || said.CORS.Fields[len(said.CORS.Fields)-1] != "Vary: Origin" || said.CORS.Why == "" {
						t.Errorf("from %q: explained: %+v", from, said.CORS)
					}
					for _, fields := range [][]string{nil, {"If-None-Match", `"v1"`}, {"If-None-Match", `"v0"`}} {
						got := get("GET", from, fields...)
						status, body := 200, "content"
						if len(fields) > 0 && fields[1] == `"v1"` {
							status, body = 304, ""
						}
						if got.status != status || got.body != body || got.fields != allowing(from) || got.vary != "Accept-Language, Origin" {
							t.Errorf("from %q with %q: %+v", from, fields, got)
						}
						warm++
					}
				}
			}
			if hits.pending.Wait(); hits.wire.Load() != warm {
				t.Errorf("connections answered %d hits, not %d", hits.wire.Load(), warm)
			}
			if n := origin.calls.Load(); n != 1 {
				t.Errorf("the origin server was asked %d times", n)
			}
		})
	}
}

// TestCORSFieldsOfAllResponses: each kind of response of a route has the fields, also where the
// gateway itself answers.
func TestCORSFieldsOfAllResponses(t *testing.T) {
	hits := new(wireHits)
	g, _ := corsGateway(t, hits, strings.Join([]string{
		`  - {name: denied, match: {path: "/denied/*"}, upstream: o, allow: {ips: [10.0.0.0/8]}, ` + corsRules + "}",
		`  - {name: plain, match: {path: "/plain/*"}, upstream: o, require_https: redirect, ` + corsRules + "}",
		`  - {name: small, match: {path: "/small/*"}, upstream: o, limits: {body_bytes: 1B}, ` + corsRules + "}",
		`  - {name: parts, match: {path: "/parts/*"}, aggregate: {parts: {a: {upstream: o, path: /json/a}}}, cache: {enabled: true, ttl: {default: 1h}}, ` + corsRules + "}",
		`  - {name: paged, match: {path: "/paged/*"}, upstream: o, errors: [{status: [404], body: "custom", content_type: text/plain}], ` + corsRules + "}",
		corsRoute,
	}, "\n"))
	client, url := serveWired(t, g, "HTTP/1.1")
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, c := range []struct {
		name, path string
		fields     []string
		again      bool // asked a second time
		status     int
		vary, says string // part of Cache-Status
	}{
		{"a miss", "/miss", nil, false, 200, "Accept-Language, Origin", "fwd=uri-miss"},
		{"a hit", "/hit", nil, true, 200, "Accept-Language, Origin", "; hit"},
		{"a hit by the handler", "/slow", []string{"Range", "bytes=0-2"}, true, 206, "Accept-Language, Origin", "hit"},
		{"a revalidation", "/hit", []string{"If-None-Match", `"v1"`}, true, 304, "Accept-Language, Origin", "hit"},
		{"a pass", "/pass/a", nil, false, 200, "Accept-Language, Origin", "fwd="},
		{"a stale response", "/stale/a", nil, true, 200, "Accept-Language, Origin", ""},
		{"an error of the origin server", "/gone/a", nil, false, 404, "Accept-Language, Origin", ""},
		{"a broken origin server", "/broken/a", nil, false, 502, "Origin", ""},
		{"a refusal of the cache", "/nothing", []string{"Cache-Control", "only-if-cached"}, false, 504, "Origin", ""},
		{"a refusal by address", "/denied/a", nil, false, 403, "Origin", ""},
		{"an aggregate", "/parts/a", nil, true, 200, "Origin", "hit"},
		{"an error page", "/paged/gone", nil, false, 404, "Origin", ""},
		{"a redirection", "/plain/a", nil, false, 308, "Origin", ""},
	} {
		for _, from := range []string{appOrigin, evilOrigin, ""} {
			path := c.path + "?from=" + from
			if c.again {
				hits.pending.Add(1)
				ask(t, client, "GET", url+path, "Origin", evilOrigin)
			}
			hits.pending.Add(1)
			got := ask(t, client, "GET", url+path, append(slices.Clone(c.fields), "Origin", from)...)
			if got.status != c.status || got.fields != allowing(from) || got.vary != c.vary || !strings.Contains(got.cacheStatus, c.says) {
				t.Errorf("%s, from %q: %+v", c.name, from, got)
			}
		}
	}
	hits.pending.Wait()
}

// TestCORSFieldsOfADefect: also the 500 for a defect of the gateway has the fields, so that a page
// can tell it from a refusal.
func TestCORSFieldsOfADefect(t *testing.T) {
	hits := new(wireHits)
	g, _ := corsGateway(t, hits, corsRoute)
	g.PutFirst("all", edge.Stage{Name: "defect", Wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a defect") })
	}})
	client, url := serveWired(t, g, "HTTP/1.1")
	for _, from := range []string{appOrigin, evilOrigin} {
		hits.pending.Add(1)
		if got := ask(t, client, "GET", url+"/a", "Origin", from); got.status != 500 || got.fields != allowing(from) || got.vary != "Origin" {
			t.Errorf("from %s: %+v", from, got)
		}
	}
	hits.pending.Wait()
}

// TestCORSPreflightsStayAtTheGateway: they reach neither the upstream nor a later stage, whatever
// methods the route takes.
func TestCORSPreflightsStayAtTheGateway(t *testing.T) {
	const methods = "Allow-Credentials: true; Allow-Headers: Content-Type; Allow-Methods: GET, PUT; Allow-Origin: " + appOrigin + "; Max-Age: 600"
	const vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
	for _, protocol := range protocols {
		hits := new(wireHits)
		g, origin := corsGateway(t, hits, strings.Join([]string{
			`  - {name: any, match: {path: "/any/*"}, upstream: o, ` + corsRules + "}",
			`  - {name: queued, match: {path: "/queued/*", methods: [GET, PUT]}, upstream: o, limits: {body_bytes: 1B}, ` + corsRules + "}",
			`  - {name: read, match: {path: "/split/*", methods: [GET]}, upstream: o, cors: {origins: ["*"], max_age: 1h}}`,
			`  - {name: written, match: {path: "/split/*", methods: [PUT]}, upstream: o}`,
			`  - {name: rest, match: {path: "/split/*", methods: [POST, OPTIONS]}, upstream: o, cors: {origins: ["*"]}}`,
			`  - {name: none, match: {path: "/none/*"}, upstream: o}`,
			`  - {name: get, match: {path: "/get/*", methods: [GET]}, upstream: o}`,
			`  - {name: denied, match: {path: "/denied/*"}, upstream: o, allow: {ips: [10.0.0.0/8]}, ` + corsRules + "}",
			corsRoute,
		}, "\n"))
		client, url := serveWired(t, g, protocol)
		for _, c := range []struct {
			path, from, method, headers string
			status                      int
			fields, vary                string
			passes                      bool
		}{
			{"/a", appOrigin, "PUT", "content-type", 204, methods, vary, false},
			{"/any/a", appOrigin, "GET", "", 204, methods, vary, false},
			{"/queued/a", appOrigin, "PUT", "", 204, methods, vary, false},
			{"/a", evilOrigin, "PUT", "", 403, "", vary, false},
			{"/a", appOrigin, "HEAD", "", 403, "", vary, false},
			{"/a", appOrigin, "GET", "x-other", 403, "", vary, false},
			{"/a", appOrigin, "DELETE", "", 405, "", "", false}, // no route takes it
			{"/any/a", appOrigin, "DELETE", "", 403, "", vary, false},
			{"/denied/a", appOrigin, "GET", "", 403, "", vary, false},
			{"/split/a", evilOrigin, "GET", "", 204, "Allow-Methods: GET; Allow-Origin: *; Max-Age: 3600", vary[len("Origin, "):], false},
			{"/split/a", evilOrigin, "POST", "", 204, "Allow-Methods: POST, OPTIONS; Allow-Origin: *", vary[len("Origin, "):], false},
			{"/split/a", evilOrigin, "PUT", "", 405, "", "", false}, // its route has no rules, and no other promises anything for it
			{"/get/a", appOrigin, "GET", "", 405, "", "", false},
			{"/none/a", appOrigin, "GET", "", 200, "Allow-Methods: BREW; Allow-Origin: " + appOrigin + "; Expose-Headers: X-Of-The-Origin", "Accept-Language, Origin", true},
			{"/any/a", appOrigin, "", "", 200, allowing(appOrigin), "Accept-Language, Origin", false}, // an OPTIONS that is no preflight
		} {
			hits.pending.Add(1)
			before, calls := origin.preflights.Load(), origin.calls.Load()
			got := ask(t, client, "OPTIONS", url+c.path, "Origin", c.from, "Access-Control-Request-Method", c.method, "Access-Control-Request-Headers", c.headers)
			if got.status != c.status || got.fields != c.fields || got.vary != c.vary {
				t.Errorf("%s: %s %s from %s with %q: %+v", protocol, c.path, c.method, c.from, c.headers, got)
			}
			if passed := origin.preflights.Load() > before; passed != c.passes || c.method != "" && !passed && origin.calls.Load() != calls {
				t.Errorf("%s: %s %s from %s: the preflight reached the origin server: %v", protocol, c.path, c.method, c.from, passed)
			}
			if c.status == 204 && (got.body != "" || got.contentLength > 0) {
				t.Errorf("%s: a 204 has content: %+v", protocol, got)
			}
			said, err := g.Explain(t.Context(), explain.Question{Method: "OPTIONS", URL: "http://h" + c.path, Header: explainLines("Origin", c.from, "Access-Control-Request-Method", c.method, "Access-Control-Request-Headers", c.headers)})
			if err != nil {
				t.Fatal(err)
			}
			if c.status != 200 && (said.Refused == nil || said.Refused.Status != c.status) {
				t.Errorf("%s %s from %s: explained: %+v", c.path, c.method, c.from, said.Refused)
			}
			if c.status == 204 {
				if lines := shortLines(said.CORS.Fields); lines != c.fields || said.CORS.Fields[len(said.CORS.Fields)-1] != "Vary: "+c.vary {
					t.Errorf("%s %s from %s: explained: %q", c.path, c.method, c.from, said.CORS.Fields)
				}
			}
		}
		hits.pending.Wait()
	}
}

// shortLines returns the fields of the CORS protocol among lines, in the form of told.
func shortLines(lines []string) string {
	var short []string
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "Access-Control-"); ok {
			short = append(short, rest)
		}
	}
	return strings.Join(short, "; ")
}

func explainLines(fields ...string) (lines []string) {
	for i := 0; i < len(fields); i += 2 {
		if fields[i+1] != "" {
			lines = append(lines, fields[i]+": "+fields[i+1])
		}
	}
	return lines
}

// TestCORSVariants: a response that the origin server makes for each origin stays a variant of its
// own, and lists Origin once.
func TestCORSVariants(t *testing.T) {
	hits := new(wireHits)
	g, origin := corsGateway(t, hits, corsRoute)
	client, url := serveWired(t, g, "HTTP/1.1")
	for range 20 {
		for _, from := range []string{appOrigin, otherOrigin, evilOrigin, ""} {
			hits.pending.Add(1)
			if got := ask(t, client, "GET", url+"/varies/a", "Origin", from); got.body != "for "+from || got.fields != allowing(from) || got.vary != "Origin, Accept-Language" {
				t.Fatalf("from %q: %+v", from, got)
			}
		}
	}
	if hits.pending.Wait(); hits.wire.Load() == 0 {
		t.Error("connections answered no hit")
	}
	if n := origin.calls.Load(); n != 4 {
		t.Errorf("the origin server was asked %d times for 4 origins", n)
	}
}

// TestStaticFilesForOtherOrigins: a page of another origin loads files of a cached route that takes
// GET and HEAD alone.
func TestStaticFilesForOtherOrigins(t *testing.T) {
	hits := new(wireHits)
	g, origin := corsGateway(t, hits, `  - name: static
    match: {path: /static/*, methods: [GET, HEAD]}
    upstream: o
    cache: {enabled: true}
    cors: {origins: ["https://app.example.com"], headers: [X-Requested-With], max_age: 10m}
`)
	client, url := serveWired(t, g, "HTTP/1.1")
	for i := range 20 {
		hits.pending.Add(2)
		pre := ask(t, client, "OPTIONS", url+"/static/app.js", "Origin", appOrigin, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "x-requested-with")
		if want := "Allow-Headers: X-Requested-With; Allow-Methods: GET, HEAD; Allow-Origin: " + appOrigin + "; Max-Age: 600"; pre.status != 204 || pre.fields != want {
			t.Fatalf("the preflight got %+v", pre)
		}
		got := ask(t, client, "GET", url+"/static/app.js", "Origin", appOrigin, "X-Requested-With", "x")
		if got.status != 200 || got.body != "content" || got.fields != "Allow-Origin: "+appOrigin || i > 0 && !strings.Contains(got.cacheStatus, "hit") {
			t.Fatalf("request %d got %+v", i, got)
		}
	}
	if hits.pending.Wait(); hits.wire.Load() == 0 || origin.calls.Load() != 1 {
		t.Errorf("connections answered %d hits, and the origin server was asked %d times", hits.wire.Load(), origin.calls.Load())
	}
}

// TestCORSRefusalsAreCounted by reason.
func TestCORSRefusalsAreCounted(t *testing.T) {
	hits := new(wireHits)
	g, _ := corsGateway(t, hits, corsRoute)
	client, url := serveWired(t, g, "HTTP/1.1")
	for _, fields := range [][]string{{"Origin", evilOrigin}, {"Origin", appOrigin, "Access-Control-Request-Headers", "x"}} {
		hits.pending.Add(1)
		ask(t, client, "OPTIONS", url+"/a", append(fields, "Access-Control-Request-Method", "PUT")...)
	}
	hits.pending.Wait()
	checkRefusals(t, g, "cors", map[string]float64{"origin": 1, "header": 1})
}

// BenchmarkCORSHit is a hit of a connection on a route with rules, without the socket.
func BenchmarkCORSHit(b *testing.B) {
	for _, c := range []struct {
		name, keys string
		fields     []string
	}{
		{"without rules", "", []string{"Origin", appOrigin}},
		{"no origin", ", " + corsRules, nil},
		{"exact", ", " + corsRules, []string{"Origin", appOrigin}},
		{"pattern", ", " + corsRules, []string{"Origin", otherOrigin}},
		{"refused", ", " + corsRules, []string{"Origin", evilOrigin}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var told tally
			g, server := wiredGatewayWith(b, 1<<10, &told, c.keys)
			warm(b, g, "/a?n=1", c.fields...)
			client := &repeater{request: requestText("/a?n=1", c.fields), left: 1}
			conn, buf := server.Wrap(client, client).Plain(), make([]byte, 4096)
			_, _ = conn.Read(buf)
			b.ReportAllocs()
			b.ResetTimer()
			client.left = b.N
			_, _ = conn.Read(buf)
			if told.hits != b.N+1 {
				b.Fatalf("%d of %d hits", told.hits, b.N+1)
			}
		})
	}
}
