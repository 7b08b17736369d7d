package edge

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/proxy/observe"
)

// through sends r through a guard and returns the forwarded request. The guard trusts 10.0.0.0/8
// and fd00::/8, and routes name some fields.
func through(t *testing.T, r *http.Request, named ...string) (*http.Request, *observe.Event, *httptest.ResponseRecorder) {
	t.Helper()
	var out *http.Request
	ev := new(observe.Event)
	g := NewGuard(GuardConfig{Named: canonicalSet(named...), TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::1/8")}})(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { out = r }))
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r.WithContext(observe.NewContext(r.Context(), ev)))
	return out, ev, w
}

// R14: the client's address is the first one from the right that is not a trusted proxy's.
func TestR14ForwardedFor(t *testing.T) {
	f := func(peer string, h http.Header, wantIP, wantFor, wantForwarded string) {
		t.Helper()
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Header, r.Host = peer, h, "shop.example"
		out, ev, _ := through(t, r)
		if ev.ClientIP.String() != wantIP || out.Header.Get("X-Forwarded-For") != wantFor || out.Header.Get("Forwarded") != wantForwarded || out.Header.Get("X-Real-Ip") != wantIP {
			t.Errorf("peer %s, %v:\nip %v, for %q, forwarded %q\nwant %s, %q, %q", peer, h, ev.ClientIP, out.Header["X-Forwarded-For"], out.Header["Forwarded"], wantIP, wantFor, wantForwarded)
		}
		if len(out.Header["X-Forwarded-For"]) != 1 {
			t.Errorf("%d lines of X-Forwarded-For", len(out.Header["X-Forwarded-For"]))
		}
	}
	xff := func(lines ...string) http.Header { return http.Header{"X-Forwarded-For": lines} }
	const tail = ";host=shop.example;proto=http"
	f("192.0.2.1:9", http.Header{}, "192.0.2.1", "192.0.2.1", "for=192.0.2.1"+tail)
	f("192.0.2.1:9", http.Header{}, "192.0.2.1", "192.0.2.1", "for=192.0.2.1"+tail)
	f("192.0.2.1:9", xff("1.1.1.1"), "192.0.2.1", "192.0.2.1", "for=192.0.2.1"+tail)
	f("[::ffff:192.0.2.1]:9", xff("1.1.1.1"), "192.0.2.1", "192.0.2.1", "for=192.0.2.1"+tail)
	f("[2001:db8::1]:9", http.Header{}, "2001:db8::1", "2001:db8::1", `for="[2001:db8::1]"`+tail)
	f("10.0.0.1:9", xff("1.1.1.1"), "1.1.1.1", "1.1.1.1, 10.0.0.1", "for=1.1.1.1"+tail+", for=10.0.0.1")
	f("10.0.0.1:9", xff("6.6.6.6, 1.1.1.1, 10.9.9.9"), "1.1.1.1", "1.1.1.1, 10.9.9.9, 10.0.0.1", "for=1.1.1.1"+tail+", for=10.9.9.9, for=10.0.0.1")
	f("10.0.0.1:9", xff("6.6.6.6", "1.1.1.1:555", " 10.9.9.9 "), "1.1.1.1", "1.1.1.1, 10.9.9.9, 10.0.0.1", "for=1.1.1.1"+tail+", for=10.9.9.9, for=10.0.0.1")
	f("10.0.0.1:9", xff("1.1.1.1, unknown"), "10.0.0.1", "10.0.0.1", "for=10.0.0.1"+tail)
	f("10.0.0.1:9", xff(""), "10.0.0.1", "10.0.0.1", "for=10.0.0.1"+tail)
	f("10.0.0.1:9", xff("10.0.0.2, 10.0.0.3"), "10.0.0.2", "10.0.0.2, 10.0.0.3, 10.0.0.1", "for=10.0.0.2"+tail+", for=10.0.0.3, for=10.0.0.1")
	f("10.0.0.1:9", xff("[2001:db8::7]:80"), "2001:db8::7", "2001:db8::7, 10.0.0.1", `for="[2001:db8::7]"`+tail+", for=10.0.0.1")
	f("[fd00::5]:9", xff("1.1.1.1"), "1.1.1.1", "1.1.1.1, fd00::5", "for=1.1.1.1"+tail+`, for="[fd00::5]"`)
	f("10.0.0.1:9", http.Header{"Forwarded": {`for=6.6.6.6, for="[2001:db8::7]:80";proto=http`}}, "2001:db8::7", "2001:db8::7, 10.0.0.1", `for="[2001:db8::7]"`+tail+", for=10.0.0.1")
	f("10.0.0.1:9", http.Header{"Forwarded": {"for=6.6.6.6"}, "X-Forwarded-For": {"1.1.1.1"}}, "1.1.1.1", "1.1.1.1, 10.0.0.1", "for=1.1.1.1"+tail+", for=10.0.0.1")
}

func TestPeerWithoutAddress(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "@" // a unix socket
	r.Header.Set("X-Forwarded-For", "1.1.1.1")
	out, ev, _ := through(t, r)
	if ev.ClientIP.IsValid() || out.Header.Get("X-Forwarded-For") != "" || out.Header.Get("Forwarded") != "host=example.com;proto=http" {
		t.Errorf("%v %v", ev.ClientIP, out.Header)
	}
}

func TestSchemeHostAndPort(t *testing.T) {
	f := func(peer string, secure bool, host string, h http.Header, want [5]string) {
		t.Helper()
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Header, r.Host = peer, h, host
		if secure {
			r.TLS = new(tls.ConnectionState)
		}
		out, ev, _ := through(t, r)
		got := [5]string{ev.Scheme, ev.Host, out.Header.Get("X-Forwarded-Proto"), out.Header.Get("X-Forwarded-Host"), out.Header.Get("X-Forwarded-Port")}
		if d := cmp.Diff(want, got); d != "" || out.Host != ev.Host {
			t.Errorf("%s %s %v: %s", peer, host, h, d)
		}
	}
	const stranger, proxy = "192.0.2.1:9", "10.0.0.1:9"
	f(stranger, false, "A:80", http.Header{}, [5]string{"http", "a", "http", "a", "80"})
	f(stranger, true, "A:443", http.Header{}, [5]string{"https", "a", "https", "a", "443"})
	f(stranger, false, "a:8080", http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-Port": {"1"}}, [5]string{"http", "a:8080", "http", "a:8080", "8080"})
	f(proxy, false, "a", http.Header{"X-Forwarded-Proto": {"https"}}, [5]string{"https", "a", "https", "a", "443"})
	f(proxy, false, "a:443", http.Header{"X-Forwarded-Proto": {"HTTPS"}}, [5]string{"https", "a", "https", "a", "443"})
	f(proxy, true, "a", http.Header{"X-Forwarded-Proto": {"http"}}, [5]string{"http", "a", "http", "a", "80"})
	f(proxy, false, "a", http.Header{"X-Forwarded-Proto": {"gopher"}}, [5]string{"http", "a", "http", "a", "80"})
	f(proxy, false, "a", http.Header{"X-Forwarded-Proto": {"http, https"}}, [5]string{"https", "a", "https", "a", "443"})
	f(proxy, false, "a", http.Header{"Forwarded": {`for=1.1.1.1;proto="https"`}}, [5]string{"https", "a", "https", "a", "443"})
	f(proxy, false, "a", http.Header{"X-Forwarded-Host": {"Shop.Example:8443"}}, [5]string{"http", "shop.example:8443", "http", "shop.example:8443", "8443"})
	f(proxy, false, "a", http.Header{"X-Forwarded-Host": {"b", "c, shop.example:443"}, "X-Forwarded-Proto": {"wss"}}, [5]string{"https", "shop.example", "https", "shop.example", "443"})
	f(proxy, false, "a", http.Header{"Forwarded": {`host="b:81", for=1.1.1.1;Host="c:82"`}}, [5]string{"http", "c:82", "http", "c:82", "82"})
	f(proxy, false, "a", http.Header{"Forwarded": {"host=b"}, "X-Forwarded-Host": {"c"}}, [5]string{"http", "c", "http", "c", "80"})
	f(proxy, false, "a", http.Header{"Forwarded": {"host=b"}, "X-Forwarded-Host": {"c, d/e"}}, [5]string{"http", "a", "http", "a", "80"})
	f(proxy, false, "a", http.Header{"X-Forwarded-Host": {"e/vil"}, "X-Forwarded-Port": {"http"}}, [5]string{"http", "a", "http", "a", "80"})
	f(proxy, false, "a", http.Header{"X-Forwarded-Port": {"8443"}}, [5]string{"http", "a", "http", "a", "80"})
}

// A route that names X-Forwarded-Prefix gets it from a trusted peer if it is a plain path, because
// applications put it into links.
func TestNamedPrefixOfTrustedPeer(t *testing.T) {
	f := func(want string, lines ...string) {
		t.Helper()
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "10.0.0.1:9"
		r.Header["X-Forwarded-Prefix"] = lines
		if out, _, _ := through(t, r, "X-Forwarded-Prefix"); out.Header.Get("X-Forwarded-Prefix") != want {
			t.Errorf("%q became %q", lines, out.Header["X-Forwarded-Prefix"])
		}
	}
	f("/app", "/app")
	f("", "//evil.example")
	f("", "/a/../b")
	f("", "javascript:x")
	f("", "/a", "/b")
}

// K3: fields that give a request another host, URL or method are removed for every peer, unless a
// route names them. A trusted proxy's description of its client stays.
func TestK3UnkeyedClaims(t *testing.T) {
	f := func(name string, fromStranger, fromProxy bool, named ...string) {
		t.Helper()
		for peer, want := range map[string]bool{"192.0.2.1:9": fromStranger, "10.0.0.1:9": fromProxy} {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = peer
			r.Header.Set(name, "/evil")
			r.Header.Set("X-Other", "kept")
			out, _, _ := through(t, r, named...)
			if got := out.Header.Get(name) != ""; got != want {
				t.Errorf("peer %s, named %v: %s passed: %v", peer, named, name, got)
			}
			if out.Header.Get("X-Other") != "kept" {
				t.Error("X-Other is gone")
			}
		}
	}
	for _, name := range []string{
		"X-Host", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "Front-End-Https", "X-Original-Host", "X-HTTP-Host-Override",
	} {
		f(name, false, false)
		f(name, true, true, http.CanonicalHeaderKey(name))
	}
	for _, name := range []string{"X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Prefix", "X-Forwarded-Ssl", "X-Forwarded-Anything"} {
		f(name, false, false)
		f(name, false, true, http.CanonicalHeaderKey(name))
	}
	for _, name := range []string{"True-Client-IP", "CF-Connecting-IP", "X-Client-IP", "Remote-User", "X-Forwarded-User", "Client-Cert"} {
		f(name, false, true)
		f(name, false, true, http.CanonicalHeaderKey(name))
	}
	f("Proxy", false, false, "Proxy")
}

// K4: they do not get through under another spelling either.
func TestK4UnderscoreAliases(t *testing.T) {
	for _, peer := range []string{"192.0.2.1:9", "10.0.0.1:9"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		for _, n := range []string{"X_Forwarded_Proto", "X_forwarded-For", "Remote_User", "X_Real_IP", "Content_Length", "Transfer_Encoding", "X_Original_URL", "X_Forwarded_New", "x_forwarded_host", "X.Forwarded.Host", "X~Rewrite-URL"} {
			r.Header[n] = []string{"evil"}
		}
		r.Header["My_field"] = []string{"kept"}
		out, _, _ := through(t, r)
		for name, v := range out.Header {
			if v[0] == "evil" {
				t.Errorf("%s passed", name)
			}
		}
		if out.Header["My_field"] == nil {
			t.Error("My_field is gone")
		}
	}
}

// K11: Connection removes hop-by-hop fields, but no field on which others rely.
func TestK11Connection(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:9"
	r.Header = http.Header{
		"Connection":    {"Authorization, X-Real-IP, cache-control,Host", "Age, Cookie, X-Forwarded-For,x-forwarded-host, Via, Range, X-Hop, , Content-Length, Upgrade"},
		"Authorization": {"a"}, "Cache-Control": {"no-store"}, "Age": {"1"}, "Cookie": {"c"}, "Via": {"1.1 x"}, "Range": {"bytes=0-"}, "X-Forwarded-For": {"1.1.1.1"}, "X-Forwarded-Host": {"h"},
		"X-Hop": {"1"}, "Keep-Alive": {"1"}, "Proxy-Connection": {"1"}, "Proxy-Authorization": {"1"}, "Te": {"gzip, trailers"}, "Trailer": {"X"}, "Transfer-Encoding": {"x"}, "Upgrade": {"WebSocket"}, "Http2-Settings": {"x"},
	}
	out, ev, _ := through(t, r)
	want := http.Header{
		"Authorization": {"a"}, "Cache-Control": {"no-store"}, "Age": {"1"}, "Cookie": {"c"}, "Via": {"1.1 x"}, "Range": {"bytes=0-"}, "Te": {"trailers"},
		"X-Forwarded-For": {"1.1.1.1, 10.0.0.1"}, "X-Forwarded-Host": {"h"}, "X-Forwarded-Port": {"80"}, "X-Forwarded-Proto": {"http"}, "X-Real-Ip": {"1.1.1.1"},
		"Forwarded": {"for=1.1.1.1;host=h;proto=http, for=10.0.0.1"},
	}
	if d := cmp.Diff(want, out.Header); d != "" {
		t.Error(d)
	}
	if ev.Upgrade != "websocket" {
		t.Errorf("upgrade %q", ev.Upgrade)
	}
}

func TestUpgradeIsRemembered(t *testing.T) {
	f := func(connection, upgrade []string, want string) {
		t.Helper()
		h := http.Header{"Connection": connection, "Upgrade": upgrade}
		if got := removeHopByHop(h); got != want || len(h) != 0 {
			t.Errorf("%v %v: %q, left %v", connection, upgrade, got, h)
		}
	}
	f([]string{"keep-alive, Upgrade"}, []string{"websocket"}, "websocket")
	f([]string{"keep-alive"}, []string{"websocket"}, "")
	f(nil, []string{"websocket"}, "")
	f([]string{"upgrade"}, nil, "")
	f([]string{"upgrade"}, []string{"websocket, h2c"}, "")
	f([]string{"upgrade"}, []string{"websocket", "h2c"}, "")
}
