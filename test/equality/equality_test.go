package equality

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// paths are what is warm in all of these tests.
var paths = []string{
	"/a/10", "/a/0", "/a/5000", "/a/100000", "/text/3000", "/text/50", "/gone/20", "/moved/0", "/language/30", "/behind/10", "/untyped/40", "/bare/10",
	"/read/10", "/a/10?x=1&y=2", "/a/10?utm_source=z", "//a///10", "/a/%41/10", "/A/./10", "/forwarded/10", "/odd/5", "/keyed/5",
	"/got/10", "/rewritten/a/10", "/template/a/10", "/sorted/10?x=1&y=2", "/a/10?", "/a/1;b@:!$&'()*+,=-_.~c",
	"/cors/10", "/cors/3000", "/cors/Origin/10", "/cors/Accept-Language/10", "/open/10", "/open/Origin/10",
	"/a//10", "/merged/a/10", "//merged//a//10",
}

// requests are each tried alone, behind a hit, and before one. H is the host.
var requests = []string{
	"GET /a/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"HEAD /a/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/0 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/5000 HTTP/1.1\r\nhost:H\r\nuser-agent:  x \t\r\n\r\n",
	"GET /a/100000 HTTP/1.1\r\nHost: H\r\n\r\n",
	"HEAD /a/100000 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /text/3000 HTTP/1.1\r\nHost: H\r\nAccept-Encoding: gzip\r\n\r\n",
	"GET /text/3000 HTTP/1.1\r\nHost: H\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\r\n",
	"GET /text/3000 HTTP/1.1\r\nHost: H\r\nAccept-Encoding: gzip\r\nAccept-Encoding: zstd\r\n\r\n",
	"GET /text/3000 HTTP/1.1\r\nHost: H\r\nAccept-Encoding: identity;q=0\r\n\r\n",
	"GET /text/3000 HTTP/1.1\r\nHost: H\r\nAccept-Encoding:\r\n\r\n",
	"HEAD /text/3000 HTTP/1.1\r\nHost: H\r\nAccept-Encoding: gzip\r\n\r\n",
	"GET /text/50 HTTP/1.1\r\nHost: H\r\nAccept-Encoding: gzip\r\n\r\n",
	"GET /gone/20 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /moved/0 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /empty/0 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /odd/5 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /language/30 HTTP/1.1\r\nHost: H\r\nAccept-Language: de\r\n\r\n",
	"GET /language/30 HTTP/1.1\r\nHost: H\r\nAccept-Language: DE , en;q=0.5\r\nX-Kind: 1\r\n\r\n",
	"GET /language/30 HTTP/1.1\r\nHost: H\r\nX-Kind: 1\r\nX-Kind: 2\r\n\r\n",
	"GET /forwarded/10 HTTP/1.1\r\nHost: H\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n",
	"GET /behind/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /untyped/40 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /bare/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /keyed/5 HTTP/1.1\r\nHost: H\r\nX-Kind: 2\r\n\r\n",
	"GET /https/5 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /private/5 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /uncached/5 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /stale/5 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/10?x=1&y=2 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/10?utm_source=z HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET //a///10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a//10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /merged/a/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET //merged//a//10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET //text/50 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/%41/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /A/./10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/%2e%2e/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/10#x HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/1\x800 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET http://H/a/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H:80\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H:\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: h H\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nHost: H\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost:\r\n\r\n",
	"GET /a/10 HTTP/1.0\r\nHost: H\r\n\r\n",
	"GET /a/10 HTTP/1.0\r\nHost: H\r\nConnection: keep-alive\r\n\r\n",
	"GET /a/10 HTTP/1.2\r\nHost: H\r\n\r\n",
	"GET /a/10 HTTP/2.0\r\nHost: H\r\n\r\n",
	"get /a/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET  /a/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/10  HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/10\r\nHost: H\r\n\r\n",
	"GET /a/10 HTTP/1.1\nHost: H\n\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\n\r\n",
	"\r\nGET /a/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost : H\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nX: a\x00b\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nX: a\x7f\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nX: a\x80\tb\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\n: x\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nX\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nCache-Control: no-cache\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nPragma: no-cache\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nRange: bytes=0-3\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nIf-None-Match: \"v1\"\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nIf-None-Match: \"v2\"\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nIf-Modified-Since: Tue, 01 Jan 2030 00:00:00 GMT\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nIf-Match: \"v2\"\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nIf-Unmodified-Since: Tue, 01 Jan 2030 00:00:00 GMT\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nAuthorization: Basic eA==\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nCookie: a=b\r\nReferer: x\r\nTe: trailers\r\nX_Forwarded_For: 1.2.3.4\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nConnection: X-Kind, keep-alive\r\n\r\n",
	"GET /got/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"HEAD /got/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /rewritten/a/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /template/a/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /sorted/10?x=1&y=2 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /sorted/10?z=3&y=2&x=1 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /sorted/10?x=1&y=%00 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/10? HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/10?? HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/10?#x HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/1;b@:!$&'()*+,=-_.~c HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H.\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: h%48\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: user@H\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: x.hosted.example\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: X.Hosted.Example:80\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nContent-Length: 0\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nContent-Length: 5\r\n\r\nhello",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nContent-Length: +5\r\n\r\nhello",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: xchunked\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nExpect: 100-continue\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nExpect: 200-ok\r\n\r\n",
	"POST /b/10 HTTP/1.1\r\nHost: H\r\nContent-Length: 5\r\n\r\nhello",
	"POST /b/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"POST /b/10 HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"POST /b/10 HTTP/1.1\r\nHost: H\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
	"POST /a/10 HTTP/1.1\r\nHost: H\r\nContent-Length: 70000\r\n\r\n" + strings.Repeat("x", 70_000),
	"POST /b/10 HTTP/1.1\r\nHost: H\r\nContent-Length: 30000\r\n\r\n" + strings.Repeat("y", 30_000),
	"PUT /read/10 HTTP/1.1\r\nHost: H\r\nContent-Length: 1\r\n\r\nx",
	"OPTIONS * HTTP/1.1\r\nHost: H\r\n\r\n",
	"OPTIONS /a/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"CONNECT H:80 HTTP/1.1\r\nHost: H\r\n\r\n",
	"TRACE /a/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"GET /upgraded/1 HTTP/1.1\r\nHost: H\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
	"GET /a/" + strings.Repeat("9", 3000) + " HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/10?" + strings.Repeat("a&", 30) + " HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nX-Long: " + strings.Repeat("z", 5_000) + "\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nX-Long: " + strings.Repeat("z", 9_000) + "\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nX-Long: " + strings.Repeat("z", 20_000) + "\r\n\r\n",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\n" + strings.Repeat("X: y\r\n", 100) + "\r\n",
	"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	"GET /a/10 HTTP/1.1\r\nHost: H\r\nX: y",
}

// corsRequests are requests with and without Origin, tried like requests.
var corsRequests = []string{
	"GET /cors/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"GET /cors/10 HTTP/1.1\r\nHost: H\r\nOrigin: https://app.example.com\r\n\r\n",
	"HEAD /cors/10 HTTP/1.1\r\nHost: H\r\norigin: https://app.example.com\r\n\r\n",
	"GET /cors/10 HTTP/1.1\r\nHost: H\r\nOrigin: https://a.b.example.org\r\n\r\n",
	"GET /cors/10 HTTP/1.1\r\nHost: H\r\nOrigin: https://evil.example\r\n\r\n",
	"GET /cors/10 HTTP/1.1\r\nHost: H\r\nOrigin:\r\n\r\n",
	"GET /cors/10 HTTP/1.1\r\nHost: H\r\nOrigin:  https://app.example.com \t\r\n\r\n",
	"GET /cors/10 HTTP/1.1\r\nHost: H\r\nOrigin: https://app.example.com\r\nOrigin: https://app.example.com\r\n\r\n",
	"GET /cors/10 HTTP/1.1\r\nHost: H\r\nOrigin: https://\x80.example.org\r\n\r\n",
	"GET /cors/10 HTTP/1.1\r\nHost: H\r\nOrigin: https://app.example.com\r\nIf-None-Match: \"v1\"\r\n\r\n",
	"GET /cors/10 HTTP/1.1\r\nHost: H\r\nOrigin: https://app.example.com\r\nIf-Match: \"v2\"\r\n\r\n",
	"GET /cors/10 HTTP/1.1\r\nHost: H\r\nOrigin: https://app.example.com\r\nRange: bytes=0-3\r\n\r\n",
	"GET /cors/10 HTTP/1.1\r\nHost: H\r\nConnection: Origin\r\nOrigin: https://app.example.com\r\n\r\n",
	"GET /cors/3000 HTTP/1.1\r\nHost: H\r\nOrigin: https://app.example.com\r\nAccept-Encoding: gzip\r\n\r\n",
	"GET /cors/Origin/10 HTTP/1.1\r\nHost: H\r\nOrigin: https://app.example.com\r\n\r\n",
	"GET /cors/Accept-Language/10 HTTP/1.1\r\nHost: H\r\nOrigin: https://app.example.com\r\n\r\n",
	"GET /open/10 HTTP/1.1\r\nHost: H\r\nOrigin: https://evil.example\r\n\r\n",
	"GET /open/10 HTTP/1.1\r\nHost: H\r\n\r\n",
	"OPTIONS /cors/10 HTTP/1.1\r\nHost: H\r\nOrigin: https://app.example.com\r\nAccess-Control-Request-Method: GET\r\n\r\n",
	"OPTIONS /cors/10 HTTP/1.1\r\nHost: H\r\nOrigin: https://app.example.com\r\nAccess-Control-Request-Method: PUT\r\n\r\n",
}

// fill puts the host into a request.
func fill(request, host string) []byte {
	return []byte(strings.ReplaceAll(strings.ReplaceAll(request, "Host: H", "Host: "+host), "//H", "//"+host))
}

// TestRequests tries each request alone, behind a hit, before a hit, and between two, all in one piece and line by line.
func TestRequests(t *testing.T) {
	p := newPair(t)
	for _, request := range append(slices.Clone(requests), corsRequests...) {
		host := p.host()
		p.warm(host, "/a/10")
		if _, rest, _ := strings.Cut(request, " "); slices.Contains(paths[1:], target(rest)) {
			p.warm(host, target(rest))
		}
		hit, r := fill(requests[0], host), fill(request, host)
		p.compare(r)
		p.compare(bytes.Join([][]byte{hit, r, hit, hit}, nil))
		p.compare(hit, r, r, hit)
		p.compare(bytes.SplitAfter(bytes.Join([][]byte{r, hit}, nil), []byte("\n"))...)
	}
	if n := p.wired.hits.Load(); n < 200 {
		t.Errorf("the connections answered %d requests by themselves", n)
	}
	if n := p.slow.hits.Load(); n != 0 {
		t.Errorf("%d requests did not go the slow way", n)
	}
}

// target is what is in front of the next space.
func target(rest string) string {
	t, _, _ := strings.Cut(rest, " ")
	return t
}

// TestBehindAProxy has a peer whose word is taken: who asks, and by which scheme, is what it says.
func TestBehindAProxy(t *testing.T) {
	p := newPair(t, "10.0.0.0/8", "192.0.2.0/24")
	host := p.host()
	claims := []string{
		"X-Forwarded-For: 203.0.113.9\r\n", "X-Forwarded-Proto: https\r\n", "X-Forwarded-Proto: HTTPS\r\nX-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n",
		"X-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n", "Forwarded: for=203.0.113.9;proto=https\r\n", "X-Forwarded-Proto: gopher\r\n",
		"X-Forwarded-Host: other.example\r\nX-Forwarded-Port: 81\r\n", "X-Real-Ip: 203.0.113.9\r\n", "",
	}
	for range 3 {
		for _, path := range []string{"/a/10", "/https/10"} {
			for _, claim := range claims {
				p.compare(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, host, claim))
			}
		}
	}
	if n := p.wired.hits.Load(); n < 12 {
		t.Errorf("the connections answered %d requests by themselves", n)
	}
}

// conditions are of requests that are answered with 304, or not.
var conditions = []string{
	"If-None-Match: \"v1\"\r\n", "If-None-Match: W/\"v1\", \"x\"\r\n", "if-none-match: *\r\n", "If-None-Match: \"v2\"\r\n", "If-None-Match:\r\n",
	"If-None-Match: \"v2\"\r\nIf-None-Match: \"v1\"\r\n", "If-Modified-Since: Tue, 01 Jan 2030 00:00:00 GMT\r\n", "If-Modified-Since: Mon, 31 Dec 2029 00:00:00 GMT\r\n",
	"If-Modified-Since: yesterday\r\n", "If-None-Match: \"v2\"\r\nIf-Modified-Since: Tue, 01 Jan 2030 00:00:00 GMT\r\n", "If-None-Match: \"v1\"\r\nIf-Match: \"v1\"\r\n",
	"If-None-Match: \"v1\"\r\nAccept-Encoding: gzip\r\n", "If-None-Match: \"v1\"\r\nRange: bytes=0-1\r\n",
}

// TestConditions asks for all paths under all conditions.
func TestConditions(t *testing.T) {
	p := newPair(t)
	host := p.host()
	p.warm(host, paths...)
	for _, path := range paths {
		for _, condition := range conditions {
			for _, method := range []string{"GET", "HEAD"} {
				ask := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", method, path, host, condition)
				p.compare(bytes.Repeat(ask, 2))
			}
		}
	}
	if n, all := p.wired.hits.Load(), int64(len(paths)*len(conditions)*4); n < all/2 {
		t.Errorf("the connections answered %d of %d requests by themselves", n, all)
	}
}

// TestCuts cuts conversations at every byte.
func TestCuts(t *testing.T) {
	p := newPair(t)
	host := p.host()
	p.warm(host, paths...)
	for _, talk := range []string{
		requests[0] + requests[1],
		requests[3] + "POST /b/10 HTTP/1.1\r\nHost: H\r\nContent-Length: 5\r\n\r\nhello" + requests[0],
		"GET /uncached/5 HTTP/1.1\r\nHost: H\r\n\r\n" + requests[0] + requests[0],
		requests[6] + "POST /b/10 HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + requests[0],
		"GET /a/10 HTTP/1.1\r\nHost: H\r\nX: a\nb\r\n\r\n" + requests[0],
	} {
		b := fill(talk, host)
		for i := range b {
			p.compare(b[:i], b[i:])
			p.compare(b[:i]) // and the client goes
		}
		single := make([][]byte, len(b))
		for i := range b {
			single[i] = b[i : i+1]
		}
		p.compare(single...)
	}
}

// TestPipelines has many hits in one piece, of all sizes, so that they are written together.
func TestPipelines(t *testing.T) {
	p := newPair(t)
	host := p.host()
	p.warm(host, paths...)
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var talk []byte
		for range 1 + random.IntN(60) {
			method := "GET"
			if random.IntN(5) == 0 {
				method = "HEAD"
			}
			talk = fmt.Appendf(talk, "%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", method, paths[random.IntN(len(paths))], host)
		}
		p.compare(cut(random, talk)...)
	}
}

// TestGenerated has conversations of random requests, some with a byte changed, in random pieces.
func TestGenerated(t *testing.T) {
	p := newPair(t)
	random := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		host := p.host()
		p.warm(host, paths[:8]...)
		for range 12 {
			p.compare(cut(random, generate(random, host))...)
		}
	}
}

// generate makes a conversation of a few requests.
func generate(random *rand.Rand, host string) []byte {
	var talk []byte
	for range 1 + random.IntN(6) {
		r := fill(requests[random.IntN(len(requests))], host)
		if random.IntN(2) == 0 {
			r = fill(requests[random.IntN(14)], host)
		}
		if random.IntN(6) == 0 {
			r[random.IntN(min(len(r), 200))] = "\r\n :,x0\x00\xff"[random.IntN(9)]
		}
		talk = append(talk, r...)
	}
	return talk
}

// cut cuts b into random pieces.
func cut(random *rand.Rand, b []byte) [][]byte {
	var pieces [][]byte
	for len(b) > 0 {
		n := 1 + random.IntN(min(len(b), 1+1<<random.IntN(17)))
		pieces = append(pieces, b[:n])
		b = b[n:]
	}
	return pieces
}
