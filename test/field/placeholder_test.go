package field

import (
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
)

// TestHeaderPlaceholdersAreFilledIn sets one field of the request and of the response. Origin and client must get its meaning, not its letters.
func TestHeaderPlaceholdersAreFilledIn(t *testing.T) {
	for _, tt := range []struct {
		value, want string
		cached      bool // it may also be used where responses are shared
	}{
		{"{client_ip}", "127.0.0.1", false},
		{"{host}", "shop.test", true},
		{"{scheme}://{host}{uri}", "http://shop.test/item/a%20b/rest?x=1&y=2", true},
		{"{path}", "/item/a%20b/rest", true},
		{"{query}", "x=1&y=2", true},
		{"{route}", "items", true},
		{"{id}", "a%20b", true},
		{"id={id}, tail={*}", "id=a%20b, tail=rest", true},
		{"{{id}} {{}}", "{id} {}", true},
		{"no placeholder", "no placeholder", true},
	} {
		for _, cache := range []bool{false, true} {
			if cache && !tt.cached {
				continue
			}
			origin := gatewaytest.NewOrigin(t, gatewaytest.Text("content", "Cache-Control", "max-age=60"))
			g := gatewaytest.Start(t, "upstreams: {origin: {targets: ["+origin.URL+"]}}\nroutes:\n"+
				"  - {name: items, match: {path: '/item/{id}/*'}, upstream: origin, rewrite: {path: '/other/{id}'}, cache: {enabled: "+boolean(cache)+"}, "+
				"headers: {request: {set: {X-Fact: '"+tt.value+"'}}, response: {add: {X-Fact: '"+tt.value+"'}}}}\n")
			for range 2 { // the second is a hit where there is a cache
				r := g.Get("/item/a%20b/rest?x=1&y=2", "Host", "SHOP.test", "X-Fact", "forged")
				if got := r.Header.Get("X-Fact"); r.Status != 200 || got != tt.want {
					t.Errorf("%s, cache %v: the client got %d %q, want %q", tt.value, cache, r.Status, got, tt.want)
				}
			}
			if got := origin.Seen(0).Header["X-Fact"]; len(got) != 1 || got[0] != tt.want {
				t.Errorf("%s, cache %v: the origin got %q, want %q", tt.value, cache, got, tt.want)
			}
		}
	}
}

// TestRequestIDIsOnePerRequest compares what origin and client get of one request, and of the next.
func TestRequestIDIsOnePerRequest(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, gatewaytest.Text("content"))
	g := gatewaytest.Route(t, origin.URL, `headers: {request: {set: {X-Request-ID: "{request_id}"}}, response: {set: {X-Request-ID: "{request_id}"}}}`)
	seen := map[string]bool{}
	for range 3 {
		id := g.Get("/").Header.Get("X-Request-Id")
		if id == "" || seen[id] || origin.Seen(-1).Header.Get("X-Request-Id") != id {
			t.Errorf("the client got %q, the origin %q", id, origin.Seen(-1).Header.Get("X-Request-Id"))
		}
		seen[id] = true
	}
}

// TestPlaceholdersDoNotBypassTheKey repeats to the origin, and in the response, what the key leaves out. A hit must not tell one client about another.
func TestPlaceholdersDoNotBypassTheKey(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = w.Write([]byte(r.Header.Get("X-Uri")))
	})
	g := gatewaytest.Route(t, origin.URL, `cache: {enabled: true, key: {query: {exclude: [user]}}}
headers: {request: {set: {X-Uri: "{uri} {query}"}}, response: {set: {X-Uri: "{uri} {query}"}}}`)
	for _, user := range []string{"ann", "bob"} {
		r := g.Get("/a?user=" + user + "&v=1")
		if r.Body != "/a?v=1 v=1" || r.Header.Get("X-Uri") != "/a?v=1 v=1" {
			t.Errorf("%s got %q and X-Uri %q", user, r.Body, r.Header.Get("X-Uri"))
		}
	}
	if origin.Calls() != 1 {
		t.Errorf("%d calls to the origin, want 1", origin.Calls())
	}
}

// TestLongPlaceholdersLeaveTheFieldOut fills in more than a field should hold.
func TestLongPlaceholdersLeaveTheFieldOut(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, gatewaytest.Text("content"))
	g := gatewaytest.Route(t, origin.URL, `headers: {request: {set: {X-Long: "{uri}{uri}{uri}"}}}`)
	if r := g.Get("/"+strings.Repeat("a", 3000), "X-Long", "forged"); r.Status != 200 || len(origin.Seen(0).Header["X-Long"]) > 0 {
		t.Errorf("%d, the origin got a value of %d bytes", r.Status, len(origin.Seen(0).Header.Get("X-Long")))
	}
}

// TestCheckRefusesPlaceholders writes placeholders that can't be filled in, or whose value would reach other clients from the cache.
func TestCheckRefusesPlaceholders(t *testing.T) {
	const cached = "cache: {enabled: true}, "
	for _, tt := range []struct{ route, says string }{
		{`headers: {request: {set: {X: "{client}"}}}`, "there is no placeholder {client} (known here: {host}, {uri}"},
		{`headers: {request: {add: {X: "{clientip}"}}}`, "did you mean {client_ip}?"},
		{`headers: {response: {set: {X: "a{id}"}}}`, "there is no placeholder {id}"},
		{`headers: {request: {set: {X: "{auth.subject}"}}}`, "{auth.subject} is not supported by this version"},
		{`headers: {request: {set: {X: "{remote_addr}"}}}`, "there is no placeholder {remote_addr}"},
		{`headers: {request: {set: {X: "{a b}"}}}`, "{a b is not a placeholder (such as {client_ip}; {{ and }} stand for braces)"},
		{`headers: {request: {set: {X: "{\"a\": 1}"}}}`, "is not a placeholder"},
		{`headers: {request: {set: {X: "{host"}}}`, "is not a placeholder"},
		{`headers: {request: {set: {X: "host}"}}}`, "} has no opening {"},
		{cached + `headers: {request: {set: {X-Real-IP: "{client_ip}"}}}`, "this route's cache would give one client's answer to all clients"},
		{cached + `headers: {request: {add: {X: "{request_id}"}}}`, "this route's cache would give one request's answer to all requests"},
		{cached + `headers: {response: {set: {X: "{client_ip}"}}}`, "would be stored with the response, and other clients would get it"},
		{cached + `headers: {response: {add: {X: "a {request_id}"}}}`, "would be stored with the response"},
		{cached + `headers: {response: {set: {X: "{method}"}}}`, "which HEAD and GET share"},
	} {
		out, code := check(t, "upstreams: {web: {targets: [\"http://127.0.0.1:1\"]}}\nroutes:\n  - {name: a, match: {path: /*}, upstream: web, "+tt.route+"}\n")
		if code != 2 || !strings.Contains(out, tt.says) {
			t.Errorf("%s\nexit code %d: %s", tt.route, code, out)
		}
	}
	for _, tt := range []struct{ route, says string }{
		{`match: {path: "/{host}"}, upstream: web, headers: {request: {set: {X: "{host}"}}}`, "{host} is both a part of match.path and a built-in placeholder"},
		{`match: {path: "/{id}", methods: [GET]}, aggregate: {parts: {a: {upstream: web, path: /a, headers: [X]}}}, headers: {request: {set: {X: "{client_ip}"}}}`, "is not in the keys of the parts' cached answers"},
		{`match: {path: "/{id}", methods: [GET]}, aggregate: {parts: {a: {upstream: web, path: /a, headers: [X]}}}, headers: {request: {set: {X: "{id}"}}}`, "is not in the keys of the parts' cached answers"},
		{`match: {path: "/{id}", methods: [GET]}, batch: {upstream: web, path: "/?ids={ids}"}, headers: {request: {set: {X: "{id}"}}}`, "one call fetches the ids of many requests"},
	} {
		out, code := check(t, "upstreams: {web: {targets: [\"http://127.0.0.1:1\"]}}\nroutes:\n  - {name: a, "+tt.route+"}\n")
		if code != 2 || !strings.Contains(out, tt.says) {
			t.Errorf("%s\nexit code %d: %s", tt.route, code, out)
		}
	}
}

func boolean(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
