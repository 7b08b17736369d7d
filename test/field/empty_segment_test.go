package field

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/proxy/explain"
	"github.com/penstock/penstock/test/gatewaytest"
)

// target asks g for a request target as it is written, which clients' libraries would change.
func target(t *testing.T, g *gatewaytest.Gateway, method, target string) *http.Response {
	t.Helper()
	conn := g.Dial()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, target)
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil { // who has all of a response finds it stored
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return resp
}

// repeating is an origin that answers with the target of the request, and lets it be stored.
func repeating(t *testing.T) *gatewaytest.Origin {
	return gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("X-Target", r.RequestURI)
		fmt.Fprint(w, "of ", r.RequestURI)
	})
}

// TestPathsReachTheOrigin lists every kind of change that a path may see on its way, and the paths that are refused.
// Each spelling is asked for three times, so that the store and the connection answer too. explain says the same.
func TestPathsReachTheOrigin(t *testing.T) {
	const refused = "" // 400
	origin := repeating(t)
	g := gatewaytest.Start(t, "upstreams:\n  origin: {targets: ["+origin.URL+"]}\nroutes:\n"+`
  - {name: all, match: {path: /*}, upstream: origin, cache: {enabled: true}}
  - {name: images, match: {path: /x/*}, upstream: origin, cache: {enabled: true}}
  - {name: admin, match: {path: /admin/*}, upstream: origin, cache: {enabled: true}}
  - {name: user, match: {path: "/users/{id}/posts"}, upstream: origin, cache: {enabled: true}}
  - {name: strip, match: {path: /strip/*}, upstream: origin, cache: {enabled: true}, rewrite: {strip_prefix: /strip}}
  - {name: swap, match: {path: /swap/*}, upstream: origin, cache: {enabled: true}, rewrite: {strip_prefix: /swap, add_prefix: /in}}
  - {name: template, match: {path: /template/*}, upstream: origin, cache: {enabled: true}, rewrite: {path: "/v2/{*}"}}
  - {name: merged, match: {path: /merged/*}, upstream: origin, cache: {enabled: true}, merge_slashes: true}
  - {name: both, match: {path: /both/*}, upstream: origin, cache: {enabled: true}, merge_slashes: true, rewrite: {strip_prefix: /both}}
`)
	for _, tt := range []struct{ kind, path, want string }{
		{"empty segment", "/x/http://h//a", "/x/http://h//a"},
		{"empty segment at the end", "/a//", "/a//"},
		{"empty segment at the start", "//a", "//a"},
		{"empty segments alone", "///", "///"},
		{"empty segment, stripped prefix", "/strip//a//b", "//a//b"},
		{"empty segment, other prefix", "/swap//a", "/in//a"},
		{"empty segment, template", "/template//a//", "/v2//a//"},
		{"empty segment, merged", "/merged//a///b//", "/merged/a/b/"},
		{"empty segment, merged for routing", "//merged/a", "/merged/a"},
		{"empty segment, merged and stripped", "/both//http://a", "/http:/a"},
		{"empty segment around another route", "//admin/a", refused},
		{"empty segment around another route, within", "/x/..//admin/a", refused},
		{"empty segment below a route", "/admin//a", "/admin//a"},
		{"empty parameter", "/users//posts", "/users//posts"}, // of the route for all paths
		{"parameter", "/users/1/posts", "/users/1/posts"},
		{"parameter, and an empty segment that hides its route", "/users/1//posts", refused},

		{"dot segment", "/a/./b", "/a/b"}, // RFC 3986 §6.2.2.3
		{"dot segment at the end", "/a/.", "/a/"},
		{"double-dot segment", "/a/../b", "/b"},
		{"double-dot segment at the end", "/a/b/..", "/a/"},
		{"double-dot segment above the root", "/../a", "/a"},
		{"double-dot segment removes an empty one", "/a//../b", "/a/b"}, // §5.2.4
		{"dot segment before an empty one", "/.//a", "//a"},
		{"escaped dot segment", "/a/%2e%2E/b", "/b"}, // §6.2.2.2
		{"dot segment behind %2F", "/a/..%2fb", refused},
		{"dot segment with a parameter", "/a/..;x/b", refused},
		{"dots in names", "/.a/b../...", "/.a/b../..."},

		{"parameter of a segment", "/a;v=1/b;", "/a;v=1/b;"},
		{"escaped semicolon", "/a%3bv", "/a%3Bv"},
		{"trailing slash", "/a/", "/a/"},
		{"no trailing slash", "/a", "/a"},
		{"escaped slash", "/a%2Fb", "/a%2Fb"},
		{"escaped slashes are no empty segment", "/a%2F%2fb", "/a%2F%2Fb"},
		{"case of an escape", "/a%c3%a4", "/a%C3%A4"}, // §6.2.2.1
		{"case of letters", "/Ab/aB", "/Ab/aB"},
		{"escape of an unreserved character", "/%41%7e%2D", "/A~-"}, // §6.2.2.2
		{"escape of a reserved character", "/%24%26%40%3A%2b", "/%24%26%40%3A%2B"},
		{"reserved characters", "/!$&'()*+,=:@", "/!$&'()*+,=:@"},
		{"escape of an escape", "/%252e%252F", "/%252e%252F"},
		{"escaped question mark and number sign", "/a%3Fb%23", "/a%3Fb%23"},
		{"plus sign", "/a+b%20c", "/a+b%20c"},
		{"bytes that no path may hold", "/ä[|]^`{}\"<>", "/%C3%A4%5B%7C%5D%5E%60%7B%7D%22%3C%3E"},
		{"backslash", `/a\b`, refused},
		{"escaped backslash", "/a%5Cb", refused},
		{"escaped control character", "/a%00", refused},
		{"broken escape", "/a%4", refused},
		{"query", "/a//b?u=//c/../d//&e=%2f", "/a//b?u=//c/../d//&e=%2f"},
		{"no path", "http://shop.example", "/"}, // §6.2.3
		{"absolute form", "http://shop.example//a//", "//a//"},
	} {
		for range 3 {
			resp := target(t, g, http.MethodGet, tt.path)
			got := resp.Header.Get("X-Target")
			if got != tt.want || (tt.want == refused) != (resp.StatusCode == http.StatusBadRequest) {
				t.Errorf("%s: %s reached the origin as %q, not as %q (%s)", tt.kind, tt.path, got, tt.want, resp.Status)
			}
		}
		gatewaytest.Eventually(t, "all fills have ended", func() bool { return g.Filling() == 0 })
		e, err := g.Explain(t.Context(), explain.Question{URL: strings.Replace("http://shop.example"+tt.path, "http://shop.examplehttp:", "http:", 1)})
		switch {
		case err != nil && tt.want == refused: // it is no request
		case err != nil:
			t.Errorf("%s: explain: %v", tt.kind, err)
		case tt.want == refused && (e.Refused == nil || e.Refused.Status != http.StatusBadRequest):
			t.Errorf("%s: %s is refused, and explain does not say so: %+v", tt.kind, tt.path, e)
		case tt.want != refused && (e.Request.Target != tt.want || e.Decision == nil || e.Decision.Action != "serve"):
			t.Errorf("%s: explain asks for %q and says %+v of %s", tt.kind, e.Request.Target, e.Decision, tt.path)
		}
	}
}

// TestEmptySegmentsOnEveryWayIn asks with and without connections that answer by themselves.
func TestEmptySegmentsOnEveryWayIn(t *testing.T) {
	const routes = "\nroutes:\n" + `
  - {name: all, match: {path: /*}, upstream: origin, cache: {enabled: true}}
  - {name: merged, match: {path: /merged/*}, upstream: origin, cache: {enabled: true}, merge_slashes: true}
`
	origin := repeating(t)
	for name, start := range map[string]func(testing.TB, string) *gatewaytest.Gateway{"wired": gatewaytest.Start, "net/http": gatewaytest.StartUnwired} {
		g := start(t, "upstreams:\n  origin: {targets: ["+origin.URL+"]}"+routes)
		for path, want := range map[string]string{"//a//b": "//a//b", "/a//b": "/a//b", "/a/b": "/a/b", "//merged//a": "/merged/a", "/merged/a": "/merged/a"} {
			calls := origin.Calls()
			for range 3 {
				if got := target(t, g, http.MethodGet, path).Header.Get("X-Target"); got != want {
					t.Errorf("%s: %s reached the origin as %s", name, path, got)
				}
			}
			if n := origin.Calls() - calls; n > 1 {
				t.Errorf("%s: %s was asked for %d times", name, path, n)
			}
		}
	}
}

// TestPurgesReachBothForms purges and writes by paths with empty segments, whether the route merges them or not.
func TestPurgesReachBothForms(t *testing.T) {
	for _, merge := range []string{"true", "false"} {
		for _, tt := range []struct {
			name string
			do   func(g *gatewaytest.Gateway)
			gone []string // of /a/b and /a//b
		}{
			{"url", func(g *gatewaytest.Gateway) { purge(t, g, `{"url": "http://shop.example/a//b"}`) }, []string{"/a/b", "/a//b"}},
			{"prefix", func(g *gatewaytest.Gateway) { purge(t, g, `{"prefix": "shop.example/a//"}`) }, []string{"/a/b", "/a//b"}},
			{"write", func(g *gatewaytest.Gateway) { target(t, g, http.MethodPost, "/a//b") }, []string{"/a/b", "/a//b"}},
			{"url without", func(g *gatewaytest.Gateway) { purge(t, g, `{"url": "http://shop.example/a/b"}`) }, []string{"/a/b"}},
			{"prefix of both", func(g *gatewaytest.Gateway) { purge(t, g, `{"prefix": "shop.example/a/"}`) }, []string{"/a/b", "/a//b"}},
			{"write without", func(g *gatewaytest.Gateway) { target(t, g, http.MethodPost, "/a/b") }, []string{"/a/b"}},
		} {
			origin := repeating(t)
			g := gatewaytest.Route(t, origin.URL, "merge_slashes: "+merge+"\ncache: {enabled: true}")
			for _, path := range []string{"/a/b", "/a//b"} {
				target(t, g, http.MethodGet, path)
				if resp := target(t, g, http.MethodGet, path); !strings.Contains(resp.Header.Get("Cache-Status"), "; hit;") {
					t.Fatalf("%s is not stored: %s", path, resp.Header["Cache-Status"])
				}
			}
			tt.do(g)
			for _, path := range tt.gone {
				calls := origin.Calls()
				target(t, g, http.MethodGet, path)
				if merge == "false" && origin.Calls() == calls {
					t.Errorf("merge_slashes %s: %s: %s was served from the cache", merge, tt.name, path)
				}
				if merge == "true" && origin.Seen(-1).RequestURI != "/a/b" {
					t.Errorf("merge_slashes %s: %s: the origin was asked for %s", merge, tt.name, origin.Seen(-1).RequestURI)
				}
			}
			if merge == "true" {
				if got := strings.Count(targets(origin), "GET "); got != 2 {
					t.Errorf("merge_slashes true: %s: the origin was asked %d times: %s", tt.name, got, targets(origin))
				}
			}
		}
	}
}

// targets are the requests that an origin has seen.
func targets(o *gatewaytest.Origin) string {
	var b strings.Builder
	for i := range o.Calls() {
		fmt.Fprintf(&b, "%s %s\n", o.Seen(i).Method, o.Seen(i).RequestURI)
	}
	return b.String()
}

// TestPathIsNoHostInALocation has an origin add a slash to the path that it was asked for, as frameworks do. A client
// would take the result for another host if the path begins with two slashes.
func TestPathIsNoHostInALocation(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("Location", r.URL.Path+"/") // decoded
		w.Header().Set("Refresh", "0; url="+r.URL.Path+"/")
		w.WriteHeader(http.StatusFound)
	})
	g := gatewaytest.Start(t, "upstreams:\n  origin: {targets: ["+origin.URL+"]}\nroutes:\n"+`
  - {name: all, match: {path: /*}, upstream: origin, cache: {enabled: true}}
  - {name: strip, match: {path: /strip/*}, upstream: origin, cache: {enabled: true}, rewrite: {strip_prefix: /strip}}
  - {name: keep, match: {path: /keep/*}, upstream: origin, cache: {enabled: true}, rewrite: {strip_prefix: /keep, keep_locations: true}}
  - {name: based, match: {host: based.example, path: /*}, upstream: origin, cache: {enabled: true}, rewrite: {add_prefix: /base}}
  - {name: merged, match: {host: merged.example, path: /*}, upstream: origin, cache: {enabled: true}, merge_slashes: true}
`)
	for _, tt := range []struct{ host, path, want string }{
		{"shop.example", "//evil.example", "http://shop.example//evil.example/"},
		{"shop.example", "///evil.example", "http://shop.example///evil.example/"},
		{"shop.example", "/%2Fevil.example", "http://shop.example//evil.example/"},
		{"shop.example", "//user@evil.example", "http://shop.example//user@evil.example/"},
		{"shop.example", "//evil%2Eexample/%40", "http://shop.example//evil.example/@/"},
		{"shop.example", "/strip//evil.example", "/strip//evil.example/"},
		{"shop.example", "/keep//evil.example", "http://shop.example//evil.example/"},
		{"based.example", "//evil.example", "http://based.example//evil.example/"},
		{"merged.example", "//evil.example", "/evil.example/"},
		{"shop.example", "/a//b", "/a//b/"},
	} {
		for range 3 {
			got := g.Get(tt.path, "Host", tt.host)
			if l := got.Header.Get("Location"); l != tt.want {
				t.Errorf("%s%s: Location: %s, not %s", tt.host, tt.path, l, tt.want)
			}
			if r := got.Header.Get("Refresh"); r != "0; url="+tt.want {
				t.Errorf("%s%s: Refresh: %s, not to %s", tt.host, tt.path, r, tt.want)
			}
		}
	}
}

// TestEmptySegmentsInParts reads an aggregate whose part repeats the rest of the path, and writes to what the part reads.
func TestEmptySegmentsInParts(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"target": %q}`, r.RequestURI)
	})
	g := gatewaytest.Start(t, "upstreams:\n  origin: {targets: ["+origin.URL+"]}\nroutes:\n"+`
  - name: page
    match: {path: /page/*}
    cache: {enabled: true}
    aggregate: {parts: {one: {upstream: origin, path: "/one/{*}"}}}
  - {name: one, match: {path: /one/*}, upstream: origin, cache: {enabled: true}}
`)
	for range 2 {
		if got := g.Get("/page/a//b//").Body; !strings.Contains(got, `"/one/a//b//"`) {
			t.Errorf("the part was asked for as %s", got)
		}
	}
	calls := origin.Calls()
	g.Do(http.MethodPut, "/one/a//b//", strings.NewReader("x"))
	g.Get("/page/a//b//")
	if n := origin.Calls() - calls; n != 2 { // the write, and the part again
		t.Errorf("the origin was asked %d times by a write and a read", n)
	}
}

// TestPagesOfAListWithEmptySegments follows the link to the next page.
func TestPagesOfAListWithEmptySegments(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"items": [], "next": "c2"}`)
	})
	g := gatewaytest.Route(t, origin.URL, "cache: {enabled: true}\npaginate: {cursor: {param: cursor, next: next}, link_header: true}")
	for path, want := range map[string]string{"/list": `</list?cursor=c2>; rel="next"`, "/a//list": `</a//list?cursor=c2>; rel="next"`, "//list": `<?cursor=c2>; rel="next"`} {
		if got := g.Get(path).Header.Get("Link"); got != want {
			t.Errorf("%s: Link: %s, not %s", path, got, want)
		}
	}
}
