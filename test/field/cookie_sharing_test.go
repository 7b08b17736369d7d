package field

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
)

// owner is the content that a personal origin makes for a request: it names the user.
func owner(r *http.Request) string {
	if c, err := r.Cookie("session"); err == nil {
		return "page of " + c.Value
	}
	if u := r.Header.Get("X-User"); u != "" {
		return "page of " + u
	}
	return "page of nobody"
}

// broken answers as an origin does that has gone: the connection ends before a response.
func broken(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

// frameworks are origins as people write them, without a word on caching: each sends what its framework adds by itself.
var frameworks = []struct {
	name   string
	answer http.HandlerFunc
}{
	{"express", func(w http.ResponseWriter, r *http.Request) {
		body, tag := owner(r), fmt.Sprintf(`W/"%x"`, owner(r))
		w.Header().Set("Etag", tag)
		w.Header().Set("X-Powered-By", "Express")
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		fmt.Fprint(w, body)
	}},
	{"flask", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, owner(r))
	}},
	{"net-http", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Format(http.TimeFormat)) // of the template
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(w, owner(r))
	}},
}

// shipped are the configurations that a new user starts with, in front of the origin at url.
func shipped(t *testing.T, url string) map[string]string {
	t.Helper()
	read := func(path string) string {
		text, err := os.ReadFile("../../" + path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	_, first, _ := strings.Cut(read("README.md"), "## A first configuration")
	_, first, _ = strings.Cut(first, "```yaml\n")
	first, _, _ = strings.Cut(first, "```")
	configs := map[string]string{
		"README's first configuration": first, "gateway.yaml": read("gateway.yaml"), "Compose": read("deploy/compose/gateway/gateway.yaml"),
		"Kubernetes, edge": read("deploy/kubernetes/edge/gateway.yaml"), "Kubernetes, sidecar": read("deploy/kubernetes/sidecar/gateway.yaml"),
	}
	target := regexp.MustCompile(`targets: \[[^\]]*\]`)
	for name, text := range configs {
		_, upstreams, ok := strings.Cut(text, "\nupstreams:")
		if !ok {
			t.Fatalf("%s has no upstreams", name)
		}
		upstreams, _, _ = strings.Cut(upstreams, "\ncost:")
		configs[name] = "upstreams:" + target.ReplaceAllString(upstreams, `targets: ["`+url+`"]`)
	}
	return configs
}

// TestNoUserSeesAnothersPage: fifty users of a site that says nothing about caching, with failures and expiry in between.
func TestNoUserSeesAnothersPage(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	draw := func(n int) int { mu.Lock(); defer mu.Unlock(); return random.IntN(n) }
	trouble := 0
	origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		now := trouble
		mu.Unlock()
		switch {
		case now == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case now == 2:
			broken(w, r)
		default:
			for _, f := range frameworks {
				if strings.Contains(r.URL.Path, f.name) {
					f.answer(w, r)
				}
			}
		}
	})
	for name, yaml := range shipped(t, origin.URL) {
		t.Run(name, func(t *testing.T) {
			g := gatewaytest.Start(t, yaml)
			const users, together = 50, 20
			requests := 400
			if strings.Contains(name, "README") || name == "gateway.yaml" {
				requests = 2000
			}
			good := 0
			for range requests / together {
				mu.Lock()
				trouble = max(0, random.IntN(5)-2)
				mu.Unlock()
				path := []string{"/", "/api/", "/api/orders/", "/static/"}[draw(4)] + frameworks[draw(3)].name + []string{"/cart", "/me", ""}[draw(3)]
				var waits []func()
				for range together {
					user := fmt.Sprintf("user%d", draw(users))
					got := g.Go(path, "Cookie", "theme=dark; session="+user)
					waits = append(waits, func() {
						a := g.Await(got)
						if a.Status == http.StatusOK && a.Body != "page of "+user {
							t.Errorf("%s: %s got %q (%s)", path, user, a.Body, a.Header.Get("Cache-Status"))
						}
						if a.Status == http.StatusOK {
							good++
						}
					})
				}
				for _, wait := range waits {
					wait()
				}
				g.Clock.Advance(time.Duration(draw(40)) * time.Second)
			}
			if good < requests/10 {
				t.Errorf("%d of %d answers were good: the test tests nothing", good, requests)
			}
		})
	}
}

// TestWhatNobodyCalledFreshReachesNobodyElse: the ways by which a response without a lifetime could come to another request. The users are told
// apart by a field of which no cache knows, so no rule about cookies helps.
func TestWhatNobodyCalledFreshReachesNobodyElse(t *testing.T) {
	routes := []string{
		"cache: {enabled: true}",
		"cache: {enabled: true, stale_while_revalidate: 30s, stale_if_error: 10m}",
		"cache: {enabled: true, stale_while_revalidate: 30s}\ncompress: {min_size: 1}",
		"cache: {enabled: true, stale_if_error: 10m, ttl: {max: 1h, jitter: 10%, status: {404: 10s}}}",
		"cache: {enabled: true, stale_while_revalidate: 1h, cookies: ignore}",
		"cache: {enabled: true, stale_while_revalidate: 1h, ignore_origin: true}",
	}
	old := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Format(http.TimeFormat) // Last-Modified in the future gives no heuristic
	fields := [][]string{
		{}, {"Etag", `"same"`}, {"Etag", `W/"same"`}, {"Last-Modified", old}, {"Cache-Control", "max-age=0"}, {"Cache-Control", "max-age=0", "Etag", `"same"`},
		{"Expires", "0"}, {"Expires", "0", "Etag", `"same"`}, {"Cache-Control", "no-cache", "Etag", `"same"`}, {"Cache-Control", "max-age=junk"}, {"Cache-Control", "public"},
		{"Cache-Control", "s-maxage=0, max-age=60", "Etag", `"same"`}, {"Cache-Control", "immutable"}, {"Cdn-Cache-Control", "max-age=0"}, {"Accept-Ranges", "bytes"},
	}
	ways := map[string]func(g *gatewaytest.Gateway, o *gatewaytest.Origin, path string, personal http.HandlerFunc) *gatewaytest.Response{
		"the next request": func(g *gatewaytest.Gateway, _ *gatewaytest.Origin, path string, _ http.HandlerFunc) *gatewaytest.Response {
			g.Get(path, "X-User", "alice")
			return g.Get(path, "X-User", "bob")
		},
		"an error status": func(g *gatewaytest.Gateway, o *gatewaytest.Origin, path string, _ http.HandlerFunc) *gatewaytest.Response {
			g.Get(path, "X-User", "alice")
			o.Answer(gatewaytest.Status(http.StatusServiceUnavailable))
			return g.Get(path, "X-User", "bob")
		},
		"an origin that is away": func(g *gatewaytest.Gateway, o *gatewaytest.Origin, path string, _ http.HandlerFunc) *gatewaytest.Response {
			g.Get(path, "X-User", "alice")
			o.Answer(broken)
			return g.Get(path, "X-User", "bob")
		},
		"a client that takes stale responses": func(g *gatewaytest.Gateway, o *gatewaytest.Origin, path string, _ http.HandlerFunc) *gatewaytest.Response {
			g.Get(path, "X-User", "alice")
			return g.Get(path, "X-User", "bob", "Cache-Control", "max-stale")
		},
		"a client that takes stale responses for an error": func(g *gatewaytest.Gateway, o *gatewaytest.Origin, path string, _ http.HandlerFunc) *gatewaytest.Response {
			g.Get(path, "X-User", "alice")
			o.Answer(gatewaytest.Status(http.StatusBadGateway))
			return g.Get(path, "X-User", "bob", "Cache-Control", "stale-if-error=600")
		},
		"only-if-cached": func(g *gatewaytest.Gateway, _ *gatewaytest.Origin, path string, _ http.HandlerFunc) *gatewaytest.Response {
			g.Get(path, "X-User", "alice")
			return g.Get(path, "X-User", "bob", "Cache-Control", "only-if-cached")
		},
		"one call for two": func(g *gatewaytest.Gateway, o *gatewaytest.Origin, path string, personal http.HandlerFunc) *gatewaytest.Response {
			return together(t, g, o, path, personal)
		},
		"one call for two, of a range": func(g *gatewaytest.Gateway, o *gatewaytest.Origin, path string, personal http.HandlerFunc) *gatewaytest.Response {
			return together(t, g, o, path, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/1000", len(owner(r))-1))
				w.WriteHeader(http.StatusPartialContent)
				fmt.Fprint(w, owner(r))
			}, "Range", "bytes=0-99")
		},
	}
	for i, route := range routes {
		o := gatewaytest.NewOrigin(t, nil)
		g := gatewaytest.Route(t, o.URL, route)
		for j, pairs := range fields {
			for name, way := range ways {
				personal := func(w http.ResponseWriter, r *http.Request) {
					gatewaytest.Text(owner(r), pairs...)(w, r)
				}
				o.Answer(personal)
				a := way(g, o, fmt.Sprintf("/%d/%d/%s", i, j, strings.ReplaceAll(name, " ", "-")), personal)
				if strings.Contains(a.Body, "alice") {
					t.Errorf("%s, %v, %s: bob got %q (%s)", route, pairs, name, a.Body, a.Header.Get("Cache-Status"))
				}
				g.Clock.Advance(2 * time.Second) // an origin that failed is asked again
			}
		}
	}
}

// together has alice lead a call and bob wait for it.
func together(t *testing.T, g *gatewaytest.Gateway, o *gatewaytest.Origin, path string, personal http.HandlerFunc, fields ...string) *gatewaytest.Response {
	gate := gatewaytest.NewGate(t)
	o.Answer(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-User") == "alice" || strings.Contains(r.Header.Get("Cookie"), "alice") {
			gate.Wait()
		}
		personal(w, r)
	})
	alice := g.Go(path, append([]string{"X-User", "alice"}, fields...)...)
	gate.Came(t)
	bob := g.Go(path, append([]string{"X-User", "bob"}, fields...)...)
	gatewaytest.Eventually(t, "bob waits or has been answered", func() bool { return g.Waiting() == 1 || len(bob) == 1 })
	gate.Open()
	g.Await(alice)
	return g.Await(bob)
}

// TestWhatRequestsWithCookiesShare: by the route's settings and the response's fields, a second user gets a page of their own or a hit.
func TestWhatRequestsWithCookiesShare(t *testing.T) {
	const alice, bob = "session=alice", "session=bob"
	for _, c := range []struct {
		name          string
		route         string
		fields        []string
		first, second string // the Cookie fields; "": none
		hit           bool
	}{
		{"ttl.default is no declaration", "cache: {enabled: true, ttl: {default: 60s}}", nil, alice, bob, false},
		{"nor is it for the same user", "cache: {enabled: true, ttl: {default: 60s}}", nil, alice, alice, false},
		{"nor ttl.status", "cache: {enabled: true, ttl: {status: {200: 60s}}}", nil, alice, bob, false},
		{"nor ttl.min", "cache: {enabled: true, ttl: {min: 60s}}", []string{"Cache-Control", "max-age=0"}, alice, bob, false},
		{"nor ignore_origin", "cache: {enabled: true, ignore_origin: true, ttl: {default: 60s}}", []string{"Cache-Control", "private"}, alice, bob, false},
		{"nor a heuristic", "cache: {enabled: true}", []string{"Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT"}, alice, bob, false},
		{"nor the origin's stale window", "cache: {enabled: true}", []string{"Cache-Control", "stale-while-revalidate=60"}, alice, bob, false},
		{"nor a response to a user without a cookie", "cache: {enabled: true, ttl: {default: 60s}}", nil, "", bob, false},
		{"nor the other way round", "cache: {enabled: true, ttl: {default: 60s}}", nil, alice, "", false},
		{"users without cookies share it", "cache: {enabled: true, ttl: {default: 60s}}", nil, "", "", true},
		{"and a heuristic lifetime", "cache: {enabled: true}", []string{"Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT"}, "", "", true},
		{"max-age is a declaration", "cache: {enabled: true}", []string{"Cache-Control", "max-age=60"}, alice, bob, true},
		{"s-maxage too", "cache: {enabled: true}", []string{"Cache-Control", "s-maxage=60"}, alice, bob, true},
		{"public with a lifetime too", "cache: {enabled: true, ttl: {default: 60s}}", []string{"Cache-Control", "public"}, alice, bob, true},
		{"a targeted field too", "cache: {enabled: true}", []string{"Cdn-Cache-Control", "max-age=60"}, alice, bob, true},
		{"a cache_control rule too", "cache: {enabled: true}\ncache_control: [{when: {status: [200]}, set: 'public, max-age=60'}]", nil, alice, bob, true},
		{"for users without a cookie too", "cache: {enabled: true}", []string{"Cache-Control", "max-age=60"}, alice, "", true},
		{"no-cache takes it back", "cache: {enabled: true}", []string{"Cache-Control", "max-age=60, no-cache", "Etag", `"same"`}, alice, bob, false},
		{"Vary: Cookie keeps users apart", "cache: {enabled: true, ttl: {default: 60s}}", []string{"Vary", "Cookie"}, alice, bob, false},
		{"and lets each have its own", "cache: {enabled: true, ttl: {default: 60s}}", []string{"Vary", "Cookie"}, bob, bob, true},
		{"cookies: ignore", "cache: {enabled: true, cookies: ignore, ttl: {default: 60s}}", nil, alice, bob, true},
		{"cookies: bypass", "cache: {enabled: true, cookies: bypass}", []string{"Cache-Control", "max-age=60"}, alice, bob, false},
		{"cookies: bypass, stored without one", "cache: {enabled: true, cookies: bypass}", []string{"Cache-Control", "max-age=60"}, "", bob, false},
		{"cookies: bypass does not concern others", "cache: {enabled: true, cookies: bypass}", []string{"Cache-Control", "max-age=60"}, "", "", true},
		{"ignore_cookies", "cache: {enabled: true, ignore_cookies: [_ga*, theme], ttl: {default: 60s}}", nil, "_ga=1; theme=dark", "_ga_X=2", true},
		{"ignore_cookies and another", "cache: {enabled: true, ignore_cookies: [_ga*], ttl: {default: 60s}}", nil, "_ga=1; " + alice, "_ga=1; " + bob, false},
		{"a cookie inside an ignored one", "cache: {enabled: true, ignore_cookies: [_ga*], ttl: {default: 60s}}", nil, "_ga=1, " + alice, "_ga=1", false},
		{"ignore_cookies with bypass", "cache: {enabled: true, cookies: bypass, ignore_cookies: [_ga]}", []string{"Cache-Control", "max-age=60"}, "_ga=1", "_ga=2", true},
		{"key.cookies, another user", "cache: {enabled: true, key: {cookies: [session]}, ttl: {default: 60s}}", nil, alice, bob, false},
		{"key.cookies, the same user", "cache: {enabled: true, key: {cookies: [session]}, ttl: {default: 60s}}", nil, alice, alice, true},
		{"key.headers with Cookie", "cache: {enabled: true, key: {headers: [Cookie]}, ttl: {default: 60s}}", nil, alice, alice, true},
		{"cookies that the origin never gets", "cache: {enabled: true, ttl: {default: 60s}}\nheaders: {request: {remove: [Cookie]}}", nil, alice, bob, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) { gatewaytest.Text(owner(r), c.fields...)(w, r) })
			g := gatewaytest.Route(t, o.URL, c.route)
			get := func(cookie string) *gatewaytest.Response {
				if cookie == "" {
					return g.Get("/p")
				}
				return g.Get("/p", "Cookie", cookie)
			}
			get(c.first)
			for i := range 3 { // the handler, then the connection
				a := get(c.second)
				if a.Status != http.StatusOK || a.Hit() != c.hit && (c.hit || i == 0) { // what is not shared may still be stored for others like the second
					t.Errorf("request %d: hit %v, want %v: %d %q (%s)", i+2, a.Hit(), c.hit, a.Status, a.Body, a.Header.Get("Cache-Status"))
				}
				if !c.hit && strings.Contains(a.Body, "alice") && !strings.Contains(c.second, "alice") {
					t.Errorf("request %d: %q", i+2, a.Body)
				}
			}
			if c.hit && c.second != "" && g.Hits.Load() == 0 && !strings.Contains(c.route, "key:") && !strings.Contains(strings.Join(c.fields, " "), "Vary") {
				t.Error("no hit was answered by the connection")
			}
		})
	}
}

// TestAnAggregateThatPassesNoCookiesIsSharedByAll: what its origins never see can make no difference.
func TestAnAggregateThatPassesNoCookiesIsSharedByAll(t *testing.T) {
	o := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		gatewaytest.Text(fmt.Sprintf("{\"owner\":%q}", owner(r)), "Content-Type", "application/json")(w, r)
	})
	route := func(headers string) string {
		return "upstreams: {origin: {targets: [" + o.URL + "]}}\nroutes:\n  - name: all\n    match: {path: /*, methods: [GET]}\n" +
			"    aggregate: {parts: {a: {upstream: origin, path: /a" + headers + "}}}\n    cache: {enabled: true, ttl: {default: 60s}}\n"
	}
	for headers, hit := range map[string]bool{"": true, ", headers: [Accept]": true, ", headers: [Cookie]": false} {
		g := gatewaytest.Start(t, route(headers))
		g.Get("/p", "Cookie", "session=alice")
		a := g.Get("/p", "Cookie", "session=bob")
		if a.Hit() != hit || strings.Contains(a.Body, "alice") {
			t.Errorf("%q: hit %v, want %v: %s", headers, a.Hit(), hit, a.Body)
		}
	}
}

// TestAPartThatFailsForOneUserIsMissingForNoOther: the whole that does without a part with cookies
// is the user's alone, whatever the failure and whatever stands in the part's place.
func TestAPartThatFailsForOneUserIsMissingForNoOther(t *testing.T) {
	failures := map[string]http.HandlerFunc{
		"refused":          gatewaytest.Status(http.StatusUnauthorized, "Retry-After", "60"),
		"redirected":       gatewaytest.Status(http.StatusFound, "Location", "/login"),
		"cut off":          broken,
		"no JSON":          gatewaytest.Text("<html>", "Cache-Control", "private"),
		"without the rest": gatewaytest.Text("[1]", "Cache-Control", "private"), // it can't be merged, and nothing can be selected
	}
	const each = "foreach: 'all.list.#.id', path: '/own/{}'"
	places := map[string]string{
		"on_error: omit, path: /own":                            "deep",
		"on_error: null, path: /own, select: owner":             "namespace",
		"on_error: default, default: {owner: none}, path: /own": "deep",
		"on_error: omit, select: owner, " + each:                "namespace",
		"on_error: default, default: 1, select: owner, " + each: "namespace",
	}
	for name, fail := range failures {
		for keys, merge := range places {
			o := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				content := fmt.Sprintf("{\"owner\":%q}", owner(r))
				switch {
				case r.URL.Path == "/all":
					gatewaytest.Text(`{"x":1,"list":[{"id":1}]}`, "Content-Type", "application/json", "Cache-Control", "public, max-age=600")(w, r)
				case strings.Contains(content, "alice"):
					fail(w, r)
				default:
					gatewaytest.Text(content, "Content-Type", "application/json", "Cache-Control", "private")(w, r)
				}
			})
			g := gatewaytest.Start(t, "upstreams: {origin: {targets: ["+o.URL+"]}}\nroutes:\n  - name: all\n    match: {path: /*, methods: [GET]}\n"+
				"    aggregate: {merge: "+merge+", parts: {all: {upstream: origin, path: /all}, own: {upstream: origin, headers: [Cookie], "+keys+"}}}\n"+
				"    cache: {enabled: true, ttl: {default: 60s}, stale_while_revalidate: 30s, stale_if_error: 1h}\n")
			a := g.Get("/p", "Cookie", "session=alice")
			if a.Status != http.StatusOK || a.Header.Get("X-Penstock-Partial") != "own" {
				t.Errorf("%s, %s: alice gets %d %s %v", name, keys, a.Status, a.Body, a.Header)
			}
			if b := g.Get("/p", "Cookie", "session=bob"); b.Hit() || !strings.Contains(b.Body, "bob") {
				t.Errorf("%s, %s: bob gets %s (%s) after alice's %v", name, keys, b.Body, b.Header.Get("Cache-Status"), a.Header["Cache-Control"])
			}
		}
	}
}

// TestAnErrorThatOneUsersPartLedToIsNoOthers: which order is asked for follows from the user, and so
// does the answer that there is none.
func TestAnErrorThatOneUsersPartLedToIsNoOthers(t *testing.T) {
	o := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/me":
			gatewaytest.Text(fmt.Sprintf("{\"name\":%q}", owner(r)), "Content-Type", "application/json", "Cache-Control", "private")(w, r)
		case strings.HasSuffix(r.URL.Path, "alice"):
			gatewaytest.Status(http.StatusNotFound, "Cache-Control", "public, max-age=60")(w, r)
		default:
			gatewaytest.Text(`"orders of bob"`, "Content-Type", "application/json", "Cache-Control", "public, max-age=60")(w, r)
		}
	})
	g := gatewaytest.Start(t, "upstreams: {origin: {targets: ["+o.URL+"]}}\nroutes:\n  - name: all\n    match: {path: /*, methods: [GET]}\n"+
		"    aggregate: {parts: {me: {upstream: origin, path: /me, headers: [Cookie]}, orders: {upstream: origin, path: '/orders/{me.name}'}}}\n    cache: {enabled: true}\n")
	if a := g.Get("/p", "Cookie", "session=alice"); a.Status != http.StatusNotFound {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if b := g.Get("/p", "Cookie", "session=bob"); b.Hit() || b.Status != http.StatusOK {
		t.Errorf("bob gets %d %s (%s)", b.Status, b.Body, b.Header.Get("Cache-Status"))
	}
}

// TestAPartThatMustBeValidatedIsNotServedStale: the stale windows of the route do not extend to an aggregate with such a part.
func TestAPartThatMustBeValidatedIsNotServedStale(t *testing.T) {
	o := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		gatewaytest.Text(fmt.Sprintf("{\"owner\":%q}", owner(r)), "Content-Type", "application/json", "Cache-Control", "public, no-cache", "Age", "5", "Etag", `"`+owner(r)+`"`)(w, r)
	})
	g := gatewaytest.Start(t, "upstreams: {origin: {targets: ["+o.URL+"]}}\nroutes:\n  - name: all\n    match: {path: /*, methods: [GET]}\n"+
		"    aggregate: {parts: {a: {upstream: origin, path: /a, headers: [Cookie]}}}\n    cache: {enabled: true, stale_while_revalidate: 30s, stale_if_error: 10m}\n")
	g.Get("/p", "Cookie", "session=alice")
	g.Clock.Advance(time.Second)
	if a := g.Get("/p", "Cookie", "session=bob"); a.Hit() || strings.Contains(a.Body, "alice") {
		t.Errorf("%s (%s)", a.Body, a.Header.Get("Cache-Status"))
	}
}

// TestARangeDoesNotGetRoundARuleForItsWhole: a cache_control rule for 200 that keeps users apart holds for the parts of a 200.
func TestARangeDoesNotGetRoundARuleForItsWhole(t *testing.T) {
	for _, set := range []string{"private", "no-store", "max-age=0", "no-cache"} {
		o := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "s-maxage=60")
			w.Header().Set("Etag", `"same"`)
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(owner(r)))
		})
		g := gatewaytest.Route(t, o.URL, "cache: {enabled: true}\ncache_control: [{when: {status: [200]}, set: '"+set+"', mode: override}]")
		g.Get("/p", "Cookie", "session=alice", "Range", "bytes=3-")
		for _, fields := range [][]string{{"Range", "bytes=3-"}, nil} {
			if a := g.Get("/p", append(fields, "Cookie", "session=bob")...); a.Hit() || strings.Contains(a.Body, "alice") {
				t.Errorf("%s, %v: %q (%s)", set, fields, a.Body, a.Header.Get("Cache-Status"))
			}
		}
	}
}

// TestAPartThatVariesOnEverythingIsSharedByNobody: a cache_control rule takes the place of the parts' Cache-Control, not of their Vary.
func TestAPartThatVariesOnEverythingIsSharedByNobody(t *testing.T) {
	for _, vary := range []string{"*", "Accept, *", "Cookie"} {
		o := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			gatewaytest.Text(fmt.Sprintf("{\"owner\":%q}", owner(r)), "Content-Type", "application/json", "Vary", vary)(w, r)
		})
		g := gatewaytest.Start(t, "upstreams: {origin: {targets: ["+o.URL+"]}}\nroutes:\n  - name: all\n    match: {path: /*, methods: [GET]}\n"+
			"    aggregate: {parts: {a: {upstream: origin, path: /a, headers: [Cookie, Accept]}, b: {upstream: origin, path: /b, headers: [Accept]}}}\n    cache: {enabled: true}\n"+
			"    cache_control: [{set: 'public, max-age=60', mode: override}]\n")
		g.Get("/p", "Cookie", "session=alice")
		if a := g.Get("/p", "Cookie", "session=bob"); a.Hit() || strings.Contains(a.Body, "alice") {
			t.Errorf("Vary: %s: %s (%s)", vary, a.Body, a.Header.Get("Cache-Status"))
		}
	}
}

// TestOneCallIsNotForUsersWithCookies: of requests that come together, those with cookies take part only in what is declared.
func TestOneCallIsNotForUsersWithCookies(t *testing.T) {
	for fields, shared := range map[string]bool{"": false, "max-age=60": true, "public, max-age=60": true, "stale-while-revalidate=60": false, "no-cache": false, "private": false} {
		o := gatewaytest.NewOrigin(t, nil)
		g := gatewaytest.Route(t, o.URL, "cache: {enabled: true, ttl: {default: 60s}, stale_while_revalidate: 30s}")
		gate := gatewaytest.NewGate(t)
		o.Answer(func(w http.ResponseWriter, r *http.Request) {
			gate.Wait()
			pairs := []string{}
			if fields != "" {
				pairs = append(pairs, "Cache-Control", fields)
			}
			gatewaytest.Text(owner(r), pairs...)(w, r)
		})
		const users = 10
		var got [users]<-chan *gatewaytest.Response
		for i := range got {
			got[i] = g.Go("/cart", "Cookie", fmt.Sprintf("session=user%d", i))
		}
		gate.Came(t)
		g.AwaitWaiting(users - 1)
		gate.Open()
		own := 0
		for i := range got {
			if a := g.Await(got[i]); a.Body == fmt.Sprintf("page of user%d", i) {
				own++
			}
		}
		if !shared && own != users || shared && o.Calls() != 1 {
			t.Errorf("%q: %d of %d users have their own page, %d calls", fields, own, users, o.Calls())
		}
	}
}
