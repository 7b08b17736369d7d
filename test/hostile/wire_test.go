package hostile

import (
	"net/http"
	"testing"
)

// refusedOnTheWire sends a request with something to smuggle behind it, alone and behind one that was answered, and sees to it that it is refused and
// that nobody hears of either.
func refusedOnTheWire(t *testing.T, request string) {
	t.Helper()
	o := echo(t)
	g := start(t, o, everything)
	g.get("/first", "")
	for _, before := range []string{"", "GET /first HTTP/1.1\r\nHost: example.com\r\n\r\n"} {
		c := g.dial()
		if c.send(before + request + smuggled); before != "" {
			c.receive(http.MethodGet)
		}
		c.refused(http.StatusBadRequest)
		if t.Failed() {
			t.Fatalf("with %q", before+request)
		}
	}
	o.mustNotHave("/refused")
	g.healthy(o)
}

// TestF1_BothFramings: net/http drops the Content-Length and goes on. The mark of an attempt is lost with it.
func TestF1_BothFramings(t *testing.T) {
	t.Parallel()
	for _, fields := range []string{
		"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
		"Transfer-Encoding:\tchunked \r\nX: y\r\ncontent-length:0\r\n",
	} {
		refusedOnTheWire(t, "POST /refused HTTP/1.1\r\nHost: example.com\r\n"+fields+"\r\n0\r\n\r\n")
	}
}

// TestF8_AbsoluteTargetBesideAnotherHost: the target's host counts, for the key and for the origin; the Host field reaches nobody (RFC 9112 §3.2.2).
func TestF8_AbsoluteTargetBesideAnotherHost(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) { c.ok("Cache-Control: max-age=60\r\n", c.field("X-Forwarded-Host")) })
	g := start(t, o, everything)
	for _, request := range []string{
		"GET http://example.com/one HTTP/1.1\r\nHost: evil.example\r\n\r\n",
		"GET http://example.com/one HTTP/1.0\r\nHost: evil.example\r\n\r\n",
		"POST HTTP://example.com/one HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n",
	} {
		if a := g.raw(request); a.status != http.StatusOK || a.body != "example.com" {
			t.Errorf("%q: %d %q", request, a.status, a.body)
		}
	}
	for _, host := range []string{"example.com", "EXAMPLE.com", "example.com:80", "example.com."} {
		if a := g.raw("GET http://example.com/one HTTP/1.1\r\nHost: " + host + "\r\n\r\n"); a.status != http.StatusOK {
			t.Errorf("the same host, spelled %s: %d %s", host, a.status, a.body)
		}
	}
	if a := g.raw("GET /one HTTP/1.1\r\nHost: evil.example\r\n\r\n"); a.hit() || a.body != "evil.example" {
		t.Errorf("the Host beside an absolute target got an entry: %q", a.body)
	}
}

// TestF9_FoldIsRefused: net/http unfolds. Who stands before the gateway may have read two fields.
func TestF9_FoldIsRefused(t *testing.T) {
	t.Parallel()
	refusedOnTheWire(t, "GET /refused HTTP/1.1\r\nHost: example.com\r\nX-Fold: a\r\n Transfer-Encoding: chunked\r\n\r\n")
	refusedOnTheWire(t, "GET /refused HTTP/1.1\r\nHost: example.com\r\nX-Fold: a\r\n\tb\r\n\r\n")
	refusedOnTheWire(t, "GET /refused HTTP/1.1\r\nHost: example.com\r\nX-Fold:\r\n\t\r\n\r\n")
}

// TestF_WithoutTheWire: switched off, the same requests are refused.
func TestF_WithoutTheWire(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything, "h2c: true", "h2c: true, wire: false")
	for _, request := range []string{
		"POST /refused HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET /refused HTTP/1.1\r\nHost: example.com\r\nX-Fold: a\r\n b\r\n\r\n",
	} {
		c := g.dial()
		c.send(request + smuggled)
		c.refused(http.StatusBadRequest)
	}
	o.mustNotHave("/refused")
	g.healthy(o)
}
