package hostile

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// smuggled is a request that must only ever be content.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n"

func TestF1_TransferEncodingAndContentLength(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	for _, fields := range []string{
		"Transfer-Encoding: xchunked\r\n",
		"Transfer-Encoding: chunked, identity\r\n",
		"Transfer-Encoding: identity, chunked\r\n",
		"Transfer-Encoding: gzip, chunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
		"Transfer-Encoding: \x0bchunked\r\n",
		"Transfer-Encoding: chunked\x00\r\n",
		"Transfer-Encoding : chunked\r\n",
		"Transfer-Encoding: chunked;q=1\r\n",
		"Transfer-Encoding: \"chunked\"\r\n",
		"Transfer-Encoding:\r\n chunked,\r\n",
		"Transfer-Encoding: chunked\rX: y\r\n",
		"Content-Length: 4\r\nContent-Length: 5\r\n",
		"Content-Length: +4\r\n",
		"Content-Length: -4\r\n",
		"Content-Length: 0x4\r\n",
		"Content-Length: 4 4\r\n",
		"Content-Length: 4, 5\r\n",
		"Content-Length: 4\r\nTransfer-Encoding: xchunked\r\n",
		"Content-Length: 99999999999999999999\r\n",
	} {
		c := g.dial()
		c.send("POST /f1 HTTP/1.1\r\nHost: example.com\r\n" + fields + "\r\n0\r\n\r\n" + smuggled)
		c.refused(http.StatusBadRequest, http.StatusNotImplemented)
		if t.Failed() {
			t.Fatalf("with %q", fields)
		}
	}
	if got := o.bytes(); got != "" {
		t.Errorf("the origin was sent %q", got)
	}
	g.healthy(o)
}

func TestF1_UpstreamNeverSeesBoth(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	for _, fields := range []string{
		"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
		"Content-Length: 4\r\nTransfer-Encoding:\tchunked \r\n",
	} {
		c := g.dial()
		c.send("POST /f1 HTTP/1.1\r\nHost: example.com\r\n" + fields + "\r\n1\r\na\r\n0\r\n\r\n")
		if a := c.receive(http.MethodPost); a.status != 200 && a.status != 400 {
			t.Errorf("%q: %d", fields, a.status)
		}
	}
	for _, k := range o.seen() {
		if k.field("Content-Length") != "" && k.field("Transfer-Encoding") != "" || k.body() != "a" {
			t.Errorf("the origin was sent %q with body %q", k.head, k.body())
		}
	}
	g.healthy(o)
}

func TestF3_ConnectOverHTTP1(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	for _, head := range []string{
		"CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n",
		"CONNECT / HTTP/1.1\r\nHost: example.com\r\n\r\n",
		fmt.Sprintf("CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\nContent-Length: %d\r\n\r\n", len(smuggled)),
	} {
		c := g.dial()
		c.send(head + smuggled)
		c.refused(http.StatusNotImplemented, http.StatusBadRequest, http.StatusMethodNotAllowed)
		if t.Failed() {
			t.Fatalf("with %q", head)
		}
	}
	o.mustNotHave("CONNECT")
	g.healthy(o)
}

func TestF5_UpgradeIsOffUnlessNamed(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	for _, protocol := range []string{"websocket", "h2c", "x", "HTTP/2.0, websocket"} {
		c := g.dial()
		c.send("GET /up HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: " + protocol + "\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n" +
			"GET /next HTTP/1.1\r\nHost: example.com\r\n\r\n")
		if a := c.receive("GET"); a.status != 200 || a.body != "/up" {
			t.Errorf("%s: %d %q", protocol, a.status, a.body)
		}
		if a := c.receive("GET"); a.status != 200 || a.body != "/next" {
			t.Errorf("%s: then %d %q", protocol, a.status, a.body)
		}
	}
	o.mustNotHave("upgrade")
	o.mustNotHave("settings")
	g.healthy(o)
}

const upgradable = `  - {name: all, match: {path: "/*"}, upstream: origin, cache: {enabled: true}, upgrade: websocket}`

func TestF5_RefusedUpgradeIsNoTunnel(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, upgradable)
	c := g.dial()
	c.send("GET /up HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if a := c.receive("GET"); a.status != 200 || a.body != "/up" {
		t.Errorf("%d %q", a.status, a.body)
	}
	c.send("GET /a%2e HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
	if a := c.receive("GET"); a.status != 200 || a.body != "/a." {
		t.Errorf("then %d %q: bytes went through as they were", a.status, a.body)
	}
	o.mustNotHave("6.6.6.6")

	c = g.dial() // pipelined, before anyone could know what the origin says
	c.send("GET /up HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + strings.ReplaceAll(smuggled, "GET /smuggled", "CONNECT smuggled:1"))
	c.receive("GET")
	if a, err := c.tryReceive("GET"); err == nil && a.status < 400 {
		t.Errorf("pipelined bytes were answered %d %q", a.status, a.body)
	}
	g.healthy(o)
}

func TestF5_OnlyTheProtocolNamed(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) {
		if c.target() == "/unasked" || c.field("Upgrade") != "" {
			c.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			return
		}
		c.ok("", c.target())
	})
	g := start(t, o, upgradable)
	if a := g.get("/x", "Connection: Upgrade\r\nUpgrade: h2c\r\n"); a.status != 200 || a.body != "/x" {
		t.Errorf("h2c: %d %q", a.status, a.body)
	}
	o.mustNotHave("h2c")
	if a := g.get("/unasked", ""); a.status != http.StatusBadGateway {
		t.Errorf("101 that was not asked for: %d", a.status)
	}
	g.healthy(o)
}

func TestF5_TunnelAfter101(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) {
		c.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		line, _ := c.br.ReadString('\n')
		c.send("echo " + line)
		c.hangUp()
	})
	g := start(t, o, upgradable)
	c := g.dial()
	c.send("GET /up HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly\n") // the client may be eager
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", resp, err)
	}
	if line, err := c.br.ReadString('\n'); line != "echo early\n" {
		t.Errorf("%q %v", line, err)
	}
	if !c.closed() {
		t.Error("the end of one side did not end the other")
	}
}

func TestF6_BodyOfAHit(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	g.get("/stored", "")
	if a := g.get("/stored", ""); !a.hit() {
		t.Fatalf("not stored: %v", a.header)
	}
	chunked := fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled)
	sized := fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(smuggled), smuggled)
	large := strings.Repeat(smuggled, 20_000)
	for _, method := range []string{"GET", "HEAD"} {
		for name, body := range map[string]string{
			"chunked": chunked, "sized": sized,
			"larger than the limit": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(large), large),
		} {
			c := g.dial()
			go c.Write([]byte(method + " /stored HTTP/1.1\r\nHost: example.com\r\n" + body + "GET /next HTTP/1.1\r\nHost: example.com\r\n\r\n"))
			a := c.receive(method)
			if a.status != 200 && a.status != 400 && a.status != 413 {
				t.Errorf("%s %s: %d", method, name, a.status)
			}
			next, err := c.tryReceive("GET")
			if err == nil && (next.status != 200 || next.body != "/next") {
				t.Errorf("%s %s: the next answer is %d %q", method, name, next.status, next.body)
			}
			if err != nil && !a.close && name != "larger than the limit" {
				t.Errorf("%s %s: %v without a word", method, name, err)
			}
		}
	}
	for _, target := range o.targets() {
		if strings.Contains(target, "smuggled") {
			t.Errorf("the origin was asked %s", target)
		}
	}
}

func TestF7_HTTP10(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	for _, head := range []string{
		"POST /ten HTTP/1.0\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n",
		"POST /ten HTTP/1.0\r\nHost: example.com\r\nConnection: keep-alive\r\n\r\n",
		"GET /ten HTTP/1.0\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n",
	} {
		c := g.dial()
		c.send(head + smuggled)
		c.receive("GET")
		if !c.closed() {
			t.Errorf("%q: the connection goes on", head)
		}
	}
	g.healthy(o)
}

func TestF7_CloseDelimitedRequest(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	c := g.dial()
	c.send("POST /cd HTTP/1.1\r\nHost: example.com\r\n\r\nthis is no request\r\n\r\n")
	if a := c.receive("POST"); a.status != 200 {
		t.Errorf("%d", a.status)
	}
	c.refused(http.StatusBadRequest)
	o.mustNotHave("this is no request")
	g.healthy(o)
}

func TestF7_ExpectWithAHit(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	g.get("/stored", "")
	c := g.dial()
	c.send(fmt.Sprintf("GET /stored HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(smuggled)))
	c.SetReadDeadline(time.Now().Add(patience))
	a := c.receive("GET")
	if a.status == http.StatusContinue {
		a = c.receive("GET")
	} else if !a.close {
		t.Errorf("%d without the body: whether it follows is open, the connection must end", a.status)
	}
	g.healthy(o)
}

// healthyBesides is healthy for tests whose smuggled text may come as content.
func (g *gateway) healthyBesides() {
	g.t.Helper()
	for range 3 {
		if a := g.get("/healthy", "Cache-Control: no-cache\r\n"); a.status != 200 || a.body != "/healthy" {
			g.t.Errorf("another client got %d %q", a.status, a.body)
		}
	}
}

func TestF7_ChunkedDeleteAndOptions(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	for _, method := range []string{"DELETE", "OPTIONS", "PATCH", "PROPFIND"} {
		c := g.dial()
		c.send(fmt.Sprintf("%s /chunked HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", method, len(smuggled), smuggled))
		if a := c.receive(method); a.status != 200 || a.body != "/chunked" {
			t.Errorf("%s: %d %q", method, a.status, a.body)
		}
		g.healthyBesides()
	}
	for _, k := range o.seen() {
		if k.target() == "/chunked" && k.body() != smuggled || k.target() == "/smuggled" {
			t.Errorf("the origin was sent %q with body %q", k.head, k.body())
		}
	}
}

func TestF8_Host(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) { c.ok("Cache-Control: max-age=60\r\n", c.field("X-Forwarded-Host")+c.target()) })
	g := start(t, o, everything)
	for _, head := range []string{
		"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: \r\n\r\n",
		"GET / HTTP/1.1\r\nHost: user@a.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example:\x00\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example:80:80\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example:99999\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example/b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example?b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a%2eexample\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a..example\r\n\r\n",
		"GET ftp://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
	} {
		if a := g.raw(head); a.status != http.StatusBadRequest {
			t.Errorf("%q: %d %q", head, a.status, a.body)
		}
	}
	if got := o.bytes(); got != "" {
		t.Errorf("the origin was sent %q", got)
	}

	// One host, however it is spelled: one entry.
	for _, spelling := range []string{"a.example", "A.EXAMPLE", "a.example.", "a.example:80", "A.Example.:80", "a.example:", "a.example:080"} {
		if a := g.raw("GET /one HTTP/1.1\r\nHost: " + spelling + "\r\n\r\n"); a.status != 200 || a.body != "a.example/one" {
			t.Errorf("%s: %d %q", spelling, a.status, a.body)
		}
	}
	if got := o.targets(); !slices.Equal(got, []string{"GET /one"}) {
		t.Errorf("the origin was asked %v", got)
	}

	// The authority of an absolute target wins, in routing and key: the Host beside it reaches nobody.
	for range 2 {
		a := g.raw("GET http://b.example/one HTTP/1.1\r\nHost: evil.example\r\n\r\n")
		if a.status != 400 && (a.status != 200 || a.body != "b.example/one") {
			t.Errorf("absolute target: %d %q", a.status, a.body)
		}
	}
	if a := g.raw("GET /one HTTP/1.1\r\nHost: evil.example\r\n\r\n"); a.body != "evil.example/one" || a.hit() {
		t.Errorf("the Host beside an absolute target got an entry: %q %v", a.body, a.header)
	}
}

func TestF9_Fields(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	for _, fields := range []string{
		" X-Leading: a\r\n",
		"\tX-Leading: a\r\n",
		"X-Space : a\r\n",
		"X-Nul: a\x00b\r\n",
		"X-Cr: a\rb\r\n",
		"X-Bell: a\ab\r\n",
		"X-Del: a\x7fb\r\n",
		"No colon\r\n",
		": no name\r\n",
		"X(Y): a\r\n",
		"X\x80: a\r\n",
		"X Y: a\r\n",
	} {
		c := g.dial()
		c.send("GET /f9 HTTP/1.1\r\n" + fields + "Host: example.com\r\n\r\n" + smuggled)
		c.refused(http.StatusBadRequest)
		if t.Failed() {
			t.Fatalf("with %q", fields)
		}
	}
	if got := o.bytes(); got != "" {
		t.Errorf("the origin was sent %q", got)
	}
	g.healthy(o)
}

// TestF9_FoldedField: RFC 9112 §5.2 leaves a server the choice between 400 and one line. Nobody behind may see a fold.
func TestF9_FoldedField(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	a := g.get("/fold", "X-Fold: a\r\n Transfer-Encoding: chunked\r\n\tb\r\n")
	if a.status != 200 && a.status != 400 {
		t.Errorf("%d", a.status)
	}
	for _, k := range o.seen() {
		if k.field("Transfer-Encoding") != "" || k.field("X-Fold") != "a Transfer-Encoding: chunked b" || strings.Contains(k.head, "\r\n ") || strings.Contains(k.head, "\r\n\t") {
			t.Errorf("the origin was sent %q", k.head)
		}
	}
}

func TestF10_EscapedLineBreaks(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) {
		c.send("HTTP/1.1 302 Found\r\nLocation: " + c.target() + "\r\nCache-Control: max-age=60\r\nSurrogate-Key: k\r\nContent-Length: 0\r\n\r\n")
	})
	g := start(t, o, `  - {name: rewritten, match: {path: "/r/{rest}"}, upstream: origin, cache: {enabled: true}, rewrite: {path: "/v2/{rest}"}}
  - {name: secure, match: {path: "/secure/*"}, upstream: origin, require_https: redirect}
`+everything, "trusted_proxies: []", "trusted_proxies: [10.0.0.0/8]")
	for _, path := range []string{
		"/a%0d%0aX-Injected:%20smuggled", "/a%0aX-Injected:smuggled", "/a%00", "/r/x%0d%0aX-Injected:smuggled", "/r/%0d", "/secure/x%0d%0aX-Injected:smuggled",
	} {
		if a := g.get(path, ""); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	if got := o.bytes(); got != "" {
		t.Errorf("the origin was sent %q", got)
	}
	// In a query they are data, and stay escaped wherever they go.
	const query = "?q=%00%0d%0aX-Injected:%20yes"
	for _, path := range []string{"/a", "/r/x", "/secure/x"} {
		for range 2 {
			a := g.get(path+query, "")
			if a.header.Get("X-Injected") != "" || !strings.HasSuffix(a.header.Get("Location"), query) {
				t.Errorf("%s: %d %v", path, a.status, a.header)
			}
		}
	}
	for _, k := range o.seen() {
		if k.field("X-Injected") != "" || !strings.HasSuffix(k.target(), query) {
			t.Errorf("the origin was sent %q", k.head)
		}
	}
	for line := range strings.Lines(g.Log()) {
		if strings.HasPrefix(line, "X-Injected") {
			t.Errorf("the log has the line %q", line)
		}
	}
}

func TestF11_EarlyClose(t *testing.T) {
	t.Parallel()
	var bad atomic.Bool
	bad.Store(true)
	o := serve(t, func(c *call) {
		if !bad.Load() {
			c.ok("Cache-Control: max-age=60\r\n", "whole answer")
			return
		}
		switch c.target() {
		case "/sized":
			c.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 12\r\n\r\nwhole")
			c.hangUp()
		case "/chunked":
			c.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n")
			c.hangUp()
		case "/reset":
			c.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n")
			time.Sleep(50 * time.Millisecond) // let it arrive: a reset takes along what was not read
			c.reset()
		case "/head":
			c.send("HTTP/1.1 200 OK\r\nCache-Control: max-a")
			c.hangUp()
		}
	})
	g := start(t, o, everything)
	for _, target := range []string{"/sized", "/chunked", "/reset", "/head"} {
		bad.Store(true)
		c := g.dial()
		c.send("GET " + target + " HTTP/1.1\r\nHost: example.com\r\n\r\n")
		a, err := c.tryReceive("GET")
		if err == nil && a.err == nil && a.status < 500 {
			t.Errorf("%s: a broken answer looks whole: %d %q", target, a.status, a.body)
		}
		bad.Store(false)
		if a := g.get(target, ""); a.status != 200 || a.body != "whole answer" || a.hit() {
			t.Errorf("%s: then %d %q %v", target, a.status, a.body, a.header)
		}
	}
}

func TestF11_BytesAfterTheAnswer(t *testing.T) {
	t.Parallel()
	const extra = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 6\r\n\r\npoison"
	o := serve(t, func(c *call) {
		switch {
		case strings.HasPrefix(c.target(), "/two"):
			c.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo" + extra)
		case strings.HasPrefix(c.target(), "/nocontent"):
			c.send("HTTP/1.1 204 No Content\r\n\r\n" + extra)
		case c.method() == "HEAD":
			c.send("HTTP/1.1 200 OK\r\nContent-Length: 70\r\n\r\n" + extra)
		case c.field("If-None-Match") != "":
			c.send("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nCache-Control: max-age=0\r\n\r\n" + extra)
		default:
			c.ok("ETag: \"1\"\r\nCache-Control: max-age=0\r\n", c.target())
		}
	})
	g := start(t, o, everything)
	g.get("/validated", "")
	for i := range 5 {
		g.get(fmt.Sprintf("/two%d", i), "")
		g.get(fmt.Sprintf("/nocontent%d", i), "")
		g.raw(fmt.Sprintf("HEAD /h%d HTTP/1.1\r\nHost: example.com\r\n\r\n", i))
		if a := g.get("/validated", ""); a.status != 200 || a.body != "/validated" {
			t.Errorf("validated: %d %q", a.status, a.body)
		}
		for range 3 {
			target := fmt.Sprintf("/victim%d", i)
			if a := g.get(target, ""); a.status != 200 || a.body != target {
				t.Errorf("a victim got %d %q", a.status, a.body)
			}
		}
	}
}

func TestF11_InterimFlood(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) {
		if c.target() == "/flood" {
			for range 10_000 {
				c.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
			}
		}
		c.ok("Cache-Control: max-age=60\r\n", c.target())
	})
	g := start(t, o, everything)
	c := g.dial()
	c.send("GET /flood HTTP/1.1\r\nHost: example.com\r\n\r\n")
	interim := 0
	a := c.receive("GET")
	for ; a.status == http.StatusEarlyHints; a = c.receive("GET") {
		interim++
	}
	if a.status != http.StatusBadGateway || interim > 100 {
		t.Errorf("%d after %d interim answers", a.status, interim)
	}
	g.healthy(o)
}
