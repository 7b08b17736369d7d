package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const explained = `version: 1
server: {listen: [{address: "127.0.0.1:0"}], trusted_proxies: [127.0.0.0/8]}
admin: {address: "127.0.0.1:0"}
upstreams: {web: {targets: ["http://127.0.0.1:1"]}}
routes:
  - name: static
    match: {host: "*.example.com", path: "/static/*", methods: [GET, HEAD]}
    upstream: web
    rewrite: {strip_prefix: /static, add_prefix: /assets}
    require_https: redirect
    cache_control: [{when: {extension: [css]}, set: "public, max-age=60"}]
    cache: {enabled: true}
  - name: users
    match: {path: "/api/users/{id}", methods: [GET, HEAD]}
    upstream: web
    cache: {enabled: true, ttl: {default: 60s}, key: {query: {exclude: [utm_*], sort: true}, cookies: [sid]}}
    compress: {encodings: [br, gzip]}
  - name: pages
    match: {path: "/pages/*", methods: [GET]}
    upstream: web
    cors: {origins: ["https://a.example"], max_age: 10m}
  - name: rest
    match: {path: "/*"}
    upstream: web
`

func TestExplainText(t *testing.T) {
	file := writeFile(t, explained)
	for _, c := range []struct {
		args []string
		want []string // lines, spaces folded
	}{
		{[]string{"GET", "http://A.example.com/api/./users/%34?b=2&utm_source=x&a=1", "-H", "Cache-Control: no-cache", "-H", "Cookie: sid=secret"}, []string{
			"request GET http://a.example.com/api/users/4?b=2&utm_source=x&a=1", "goes upstream as /api/users/4?a=1&b=2",
			"route is users (GET,HEAD /api/users/{id}): its path is the most specific that matches, and then its host", "not rest (/*): its path is less specific than /api/users/{id}",
			"query a=1&b=2", "left out: utm_source=x (cache.key.query.exclude utm_*)", "client + Cache-Control: no-cache: a stored response is validated with the origin first",
			"decision fetch: no stored response could answer", "= stored, fresh for 1m (ttl.default)", "Cache-Status: penstock; fwd=uri-miss …",
			"route: do not hear the client's Cache-Control", "client_directives: ignore"}},
		{[]string{"-H", "X-Forwarded-Proto: https", "http://a.example.com/static/x.css", "--response", "HTTP/1.1 200 OK\nContent-Type: text/css\r\nSet-Cookie: a=b"}, []string{
			"request GET https://a.example.com/static/x.css", "goes upstream as /assets/x.css", "cache_control[0] matches it and sets its Cache-Control",
			"+ Cache-Control: max-age=60: the lifetime (RFC 9111 section 5.2.2.1)", "= not stored: the response sets a cookie (cache.set_cookie: pass)",
			"Cache-Status: penstock; fwd=uri-miss; fwd-status=200; detail=set-cookie", "set_cookie: strip"}},
		{[]string{"/static/x.css", "-H", "Host: a.example.com"}, []string{"answer 308 Permanent Redirect, by the route, before its cache", "Location: https://a.example.com/static/x.css"}},
		{[]string{"/pages/1", "-H", "Origin: https://a.example"}, []string{"cors pages of https://a.example may read the response", "Access-Control-Allow-Origin: https://a.example", "Vary: Origin"}},
		{[]string{"/pages/1", "-H", "Origin: https://b.example"}, []string{"cors no entry of cors.origins allows the request's Origin, so browsers keep the response from its pages", "Vary: Origin"}},
		{[]string{"OPTIONS", "/pages/1", "-H", "Origin: https://a.example", "-H", "Access-Control-Request-Method: GET"}, []string{
			"route is pages (GET /pages/*): its path is the most specific that matches, and then its host", "cors Access-Control-Allow-Methods: GET", "Access-Control-Max-Age: 600",
			"answer 204 No Content, by the route, before its cache", "Stage: cors", "Why: the gateway answers preflights itself, and allows this one"}},
		{[]string{"OPTIONS", "/pages/1", "-H", "Origin: https://b.example", "-H", "Access-Control-Request-Method: GET"}, []string{
			"answer 403 Forbidden, by the route, before its cache", "Stage: cors", "Why: no entry of cors.origins allows the preflight's Origin"}},
		{[]string{"DELETE", "/api/users/3"}, []string{"route none", "answer 405 Method Not Allowed, by the router", "Allow: GET, HEAD"}},
		{[]string{"/a/%2e%2e%2f/b"}, []string{"answer 400 Bad Request, by the guard"}},
		{[]string{"/api/users/1", "--status", "404"}, []string{"response given: 404 Not Found", "= stored, fresh for 1m (ttl.default)"}},
		{[]string{"/api/users/1", "--response-header", "Cache-Control: no-store, max-age=9"}, []string{
			"+ Cache-Control: no-store: it must not be stored (RFC 9111 section 5.2.2.5)", `cache_control: [{when: {status: [200]}, set: "public, max-age=60", mode: override}]`}},
		{[]string{"/x"}, []string{"key none: the request bypasses the cache", "decision pass: the route has no cache (cache.enabled)", "enabled: true"}},
		{[]string{"/api/users/1", "--fetch"}, []string{"answer 502 Bad Gateway"}},
	} {
		code, stdout, stderr := execute(append([]string{"explain", "--config", file}, c.args...)...)
		if code != exitDone || stderr != "" {
			t.Errorf("%q: code %d, %q", c.args, code, stderr)
		}
		folded := strings.Join(strings.Fields(stdout), " ")
		for _, line := range c.want {
			if !strings.Contains(folded, line) {
				t.Errorf("%q lacks %q:\n%s", c.args, line, stdout)
			}
		}
		if strings.Contains(stdout, "secret") {
			t.Errorf("%q shows a credential:\n%s", c.args, stdout)
		}
	}
}

func TestExplainMistakes(t *testing.T) {
	file := writeFile(t, explained)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "needs a URL"},
		{[]string{"GET", "/a", "b"}, `does not take "b"`},
		{[]string{"ftp://a/b"}, "is no URL"},
		{[]string{"/a b"}, "must be escaped"},
		{[]string{"/a", "-H", "nothing"}, "is no field line"},
		{[]string{"/a", "-H", "A: b\nC: d"}, "line break"},
		{[]string{"G T", "/a"}, "no server would take"},
		{[]string{"/a", "--from", "me"}, "no IP address"},
		{[]string{"/a", "--response", "HTTP/1.1 OK"}, "is not a status line"},
		{[]string{"/a", "--status", "900"}, "invalid status code"},
		{[]string{"/a", "--status", "200", "--fetch"}, "one or the other"},
		{[]string{"/a", "--bogus"}, "not defined"},
	} {
		code, stdout, stderr := execute(append([]string{"explain", "--config", file}, c.args...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: code %d, %q, %q; want %q", c.args, code, stdout, stderr, c.want)
		}
	}
}

func TestExplainLive(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	p, get := purging(t, "127.0.0.1:"+freePort(t))
	get("/a")
	host := p.await(`msg=listening address=(\S+) admin=false`)
	code, stdout, stderr := execute("explain", "--live", "--json", "--config", p.config, "http://"+host+"/a")
	var e struct {
		Stored *struct{ Tier string }
		Answer struct{ Hit bool }
	}
	if code != exitDone || json.Unmarshal([]byte(stdout), &e) != nil || !e.Answer.Hit || e.Stored == nil || e.Stored.Tier != "memory" {
		t.Errorf("code %d, %s%s", code, stdout, stderr)
	}
	if code, _, stderr := execute("explain", "--live", "--config", p.config, "--token", "wrong", "/a"); code != exitUsage || !strings.Contains(stderr, tokenVariable) {
		t.Errorf("code %d, %q", code, stderr)
	}
	if code, _, stderr := execute("explain", "--live", "--config", p.config, "ftp://a"); code != exitUsage || !strings.Contains(stderr, "is no URL") {
		t.Errorf("code %d, %q", code, stderr)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	if code, _, stderr := execute("explain", "--live", "--admin", other.URL, "/a"); code != exitFailed || !strings.Contains(stderr, "does not come from a gateway's admin listener") {
		t.Errorf("code %d, %q", code, stderr)
	}
}
