package field

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
)

// echo answers with all that the request says of the host, the URL and the method, in a response that everybody may share.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=60")
	fmt.Fprintf(w, "%s %s host=%s\n", r.Method, r.RequestURI, r.Host)
	for name, values := range r.Header {
		fmt.Fprintf(w, "%s=%s\n", name, strings.Join(values, "|"))
	}
}

// behindProxy is a gateway whose clients are a trusted load balancer.
func behindProxy(t *testing.T, origin, route string) *gatewaytest.Gateway {
	t.Helper()
	return gatewaytest.Start(t, "server: {trusted_proxies: [127.0.0.0/8]}\nupstreams:\n  origin: {targets: ["+origin+"]}\n"+route)
}

const cachedEverywhere = "routes:\n  - {name: all, match: {path: /*}, upstream: origin, cache: {enabled: true}}\n"

// claimed are requests that a client of the load balancer sends, and that the balancer passes on.
var claimed = []struct{ name, field, value string }{
	{"host", "X-Forwarded-Host", "evil.example"},
	{"host in a list", "X-Forwarded-Host", "shop.example, evil.example"},
	{"host with a port", "X-Forwarded-Host", "shop.example:666"},
	{"host that is none", "X-Forwarded-Host", "evil.example/path"},
	{"empty host", "X-Forwarded-Host", ""},
	{"standard host", "Forwarded", "for=192.0.2.1;host=evil.example"},
	{"standard host, quoted", "Forwarded", `for=192.0.2.1;host="evil.example:666"`},
	{"scheme", "X-Forwarded-Proto", "https"},
	{"port", "X-Forwarded-Port", "666"},
	{"prefix", "X-Forwarded-Prefix", "/evil"},
	{"server", "X-Forwarded-Server", "evil.example"},
	{"another word for the scheme", "X-Forwarded-Scheme", "evil"},
	{"path", "X-Forwarded-Path", "/evil"},
	{"unknown claim", "X-Forwarded-Whatever", "evil"},
	{"TLS", "X-Forwarded-Ssl", "evil"},
	{"TLS, Microsoft's", "Front-End-Https", "evil"},
	{"TLS, Cloudflare's", "CF-Visitor", `{"scheme":"evil"}`},
	{"original URL", "X-Original-URL", "/evil"},
	{"original host", "X-Original-Host", "evil.example"},
	{"rewritten URL", "X-Rewrite-URL", "/evil"},
	{"other host", "X-Host", "evil.example"},
	{"host override", "X-HTTP-Host-Override", "evil.example"},
	{"method override", "X-HTTP-Method-Override", "EVIL"},
	{"method override, short", "X-HTTP-Method", "EVIL"},
	{"method override, shorter", "X-Method-Override", "EVIL"},
	{"forwarded method", "X-Forwarded-Method", "EVIL"},
	{"forwarded URI", "X-Forwarded-Uri", "/evil"},
	{"underscores", "X_Forwarded_Host", "evil.example"},
	{"other odd character", "X.Original.Url", "/evil"},
	{"httpoxy", "Proxy", "http://evil.example"},
}

func TestOneClientDoesNotChooseWhatAllOthersAreServed(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, echo)
	for _, preserve := range []string{"false", "true"} {
		g := gatewaytest.Start(t, "server: {trusted_proxies: [127.0.0.0/8]}\nupstreams:\n  origin: {targets: ["+origin.URL+"], preserve_host: "+preserve+"}\n"+cachedEverywhere)
		for i, tt := range claimed {
			t.Run(tt.name+", preserve_host "+preserve, func(t *testing.T) {
				path := fmt.Sprint("/home/", i)
				for range 4 { // so often that the connection learns where the answer is
					mine := g.Get(path, "Host", "shop.example", "X-Forwarded-For", "203.0.113.9", tt.field, tt.value)
					if mine.Status != 200 {
						t.Fatalf("the claiming client got %d %s", mine.Status, mine.Body)
					}
				}
				for range 2 {
					other := g.Get(path, "Host", "shop.example", "X-Forwarded-For", "203.0.113.10")
					body := strings.ToLower(other.Body)
					if strings.Contains(body, "evil") || strings.Contains(body, "666") || strings.Contains(body, "x-forwarded-proto=https") {
						t.Errorf("another client got the response that the first one chose: %s\n%s", other.Header["Cache-Status"], other.Body)
					}
				}
			})
		}
	}
}

func TestABelievedHostIsTheHostEverywhere(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, echo)
	g := gatewaytest.Start(t, "server: {trusted_proxies: [127.0.0.0/8]}\nupstreams:\n  origin: {targets: ["+origin.URL+"], preserve_host: true}\nroutes:\n"+
		"  - {name: shop, match: {host: shop.example, path: /*}, upstream: origin, cache: {enabled: true}}\n"+
		"  - {name: rest, match: {path: /*}, upstream: origin, cache: {enabled: true}}\n")
	for _, tt := range []struct {
		name   string
		fields []string
		host   string
	}{
		{"none", nil, "lb.internal"},
		{"X-Forwarded-Host", []string{"X-Forwarded-Host", "Shop.Example"}, "shop.example"},
		{"the last of a list", []string{"X-Forwarded-Host", "evil.example, shop.example"}, "shop.example"},
		{"the last of several lines", []string{"X-Forwarded-Host", "evil.example", "X-Forwarded-Host", "shop.example"}, "shop.example"},
		{"Forwarded", []string{"Forwarded", "for=192.0.2.1;host=shop.example;proto=http"}, "shop.example"},
		{"the last element of Forwarded", []string{"Forwarded", "host=evil.example, for=192.0.2.1;host=shop.example"}, "shop.example"},
		{"both, and they differ", []string{"Forwarded", "host=evil.example", "X-Forwarded-Host", "shop.example"}, "shop.example"},
		{"the scheme's own port", []string{"X-Forwarded-Host", "shop.example:443", "X-Forwarded-Proto", "https"}, "shop.example"},
		{"a port of its own", []string{"X-Forwarded-Host", "shop.example:8443", "X-Forwarded-Port", "1"}, "shop.example:8443"},
		{"no valid host", []string{"X-Forwarded-Host", "shop.example@evil"}, "lb.internal"},
		{"no valid host behind a valid one", []string{"X-Forwarded-Host", "shop.example, ev il"}, "lb.internal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 3 {
				r := g.Get("/a", append([]string{"Host", "lb.internal"}, tt.fields...)...)
				e := g.Event()
				route := "rest"
				if strings.HasPrefix(tt.host, "shop.example") {
					route = "shop"
				}
				if e.Route != route || e.Host != tt.host || !strings.Contains(r.Body, "host="+tt.host+"\n") || !strings.Contains(r.Body, "X-Forwarded-Host="+tt.host+"\n") {
					t.Errorf("route %s, host %s, the origin saw\n%s", e.Route, e.Host, r.Body)
				}
			}
		})
	}
}

func TestAFieldThatTheRouteNamesIsForwardedAndKeyed(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, echo)
	const route = "routes:\n" +
		"  - {name: named, match: {path: /named/*}, upstream: origin, cache: {enabled: true, key: {headers: [X-HTTP-Method-Override, X-Forwarded-Prefix]}}}\n" +
		"  - {name: uncached, match: {path: /uncached/*}, upstream: origin, cache: {enabled: false, key: {headers: [X-Original-URL]}}}\n" +
		"  - {name: rest, match: {path: /*}, upstream: origin, cache: {enabled: true}}\n"
	for _, trusted := range []bool{true, false} {
		g := behindProxy(t, origin.URL, route)
		if !trusted {
			g = gatewaytest.Start(t, "upstreams:\n  origin: {targets: ["+origin.URL+"]}\n"+route)
		}
		for _, tt := range []struct {
			path, field, value string
			passes             bool
		}{
			{"/named/1", "X-HTTP-Method-Override", "PATCH", true},
			{"/named/2", "X-Forwarded-Prefix", "/app", trusted},
			{"/named/3", "X-Original-URL", "/app", false},
			{"/uncached/1", "X-Original-URL", "/app", true},
			{"/uncached/2", "X-HTTP-Method-Override", "PATCH", false},
			{"/rest/1", "X-HTTP-Method-Override", "PATCH", false},
			{"/rest/2", "X-Original-URL", "/app", false},
			{"/rest/3", "X-Forwarded-Prefix", "/app", false},
		} {
			line := http.CanonicalHeaderKey(tt.field) + "=" + tt.value + "\n"
			if r := g.Get(tt.path, tt.field, tt.value); strings.Contains(r.Body, line) != tt.passes {
				t.Errorf("trusted %v: %s with %s:\n%s", trusted, tt.path, tt.field, r.Body)
			}
			if r := g.Get(tt.path); strings.Contains(r.Body, line) {
				t.Errorf("trusted %v: %s without %s got the answer of the request with it", trusted, tt.path, tt.field)
			}
		}
	}
}

func TestAPurgeNamesTheBelievedHost(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, echo)
	g := behindProxy(t, origin.URL, cachedEverywhere)
	ask := func() *gatewaytest.Response {
		return g.Get("/p", "Host", "lb.internal", "X-Forwarded-Host", "shop.example")
	}
	ask()
	purge(t, g, `{"url": "https://lb.internal/p"}`)
	if !ask().Hit() {
		t.Error("a purge of the balancer's own name took the page of another host")
	}
	purge(t, g, `{"url": "https://shop.example/p"}`)
	if ask().Hit() {
		t.Error("the page outlived the purge of its URL")
	}
}

// The connection answers hits by itself: what it has learned of a request with a claim must not answer one without, over the same connection.
func TestAClaimOnOneRequestIsNotOneOnTheNext(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, echo)
	g := behindProxy(t, origin.URL, cachedEverywhere)
	conn := g.Dial()
	in := bufio.NewReader(conn)
	for i := range 200 {
		claim, want := "X-Forwarded-Host: evil.example\r\n", "X-Forwarded-Host=evil.example"
		if i%2 == 0 {
			claim, want = "", "X-Forwarded-Host=shop.example"
		}
		fmt.Fprintf(conn, "GET /home HTTP/1.1\r\nHost: shop.example\r\n%s\r\n", claim)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || !strings.Contains(string(body), want) {
			t.Fatalf("request %d: %v\n%s", i, err, body)
		}
	}
	if g.Hits.Load() == 0 {
		t.Error("the connection answered nothing: requests with X-Forwarded-Host are hits too")
	}
}
