package equality

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// inHTTP2 says a request of HTTP/1.1 in HTTP/2, as far as that goes: what is out of place there stays.
func inHTTP2(request, host string) (h2Request, bool) {
	head, body, ok := strings.Cut(string(fill(request, host)), "\r\n\r\n")
	line, lines, _ := strings.Cut(head, "\r\n")
	method, target, found := strings.Cut(line, " ")
	target, version, versioned := cutLast(target, " ")
	if !ok || !found || !versioned || version != "HTTP/1.1" {
		return h2Request{}, false
	}
	r := h2Request{fields: []hpack.HeaderField{{Name: ":method", Value: method}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: target}}}
	for _, line := range strings.Split(lines, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		name, value = strings.ToLower(name), strings.Trim(value, " \t")
		if name == "host" && len(r.fields) == 3 {
			r.fields = append(r.fields, hpack.HeaderField{Name: ":authority", Value: value})
		} else if name != "" {
			r.fields = append(r.fields, hpack.HeaderField{Name: name, Value: value})
		}
	}
	if body != "" && !strings.Contains(head, "chunked") {
		for len(body) > 16_000 {
			r.body = append(r.body, body[:16_000])
			body = body[16_000:]
		}
		r.body = append(r.body, body)
	}
	return r, true
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// h2Only are requests that HTTP/1.1 does not have; each is a request of those above with something added, put in front, or changed.
func h2Only(host string) []h2Request {
	get := func(path string, more ...string) h2Request {
		r, _ := inHTTP2("GET "+path+" HTTP/1.1\r\nHost: H\r\n\r\n", host)
		for i := 0; i < len(more); i += 2 {
			r.fields = append(r.fields, hpack.HeaderField{Name: more[i], Value: more[i+1]})
		}
		return r
	}
	with := func(r h2Request, change func(*h2Request)) h2Request {
		r.fields = slices.Clone(r.fields)
		change(&r)
		return r
	}
	all := []h2Request{
		get("/a/10", "cookie", "a=b", "x", "y", "cookie", "c=d"), get("/a/10", "host", host), get("/a/10", "host", "other.example"), get("/a/10", "te", "trailers"),
		get("/a/10", "te", "gzip"), get("/a/10", "te", ""), get("/a/10", "X-Upper", "1"), get("/a/10", "x", " y"), get("/a/10", "x", "y\t"), get("/a/10", "x", "a\r\nb: c"), get("/a/10", "", "x"),
		get("/a/10", "x y", "z"), get("/a/10", ":path", "/a/0"), get("/a/10", ":x", "1"), get("/a/10", "connection", "close"), get("/a/10", "keep-alive", "5"),
		get("/a/10", "proxy-connection", "x"), get("/a/10", "upgrade", "h2c"), get("/a/10", "transfer-encoding", "chunked"), get("/a/10", "trailer", "x"),
		get("/a/10", "priority", "u=1, i"), get("/a/10", "penstock-wire-chance", "1"), get("/a/10 HTTP/1.1\r\nx: y"), get("/a/10\r\n"), get("/a 10"), get("a/10"), get("*"), get(""),
		get("/a/10", "x", strings.Repeat("y", 6000)), get("/a/10", "x", strings.Repeat("y", 9000)), get("/a/10", "x", strings.Repeat("y", 15_000)),
		with(get("/a/10"), func(r *h2Request) { r.fields[3].Value = "" }), with(get("/a/10"), func(r *h2Request) { r.fields = r.fields[:3] }),
		with(get("/a/10", "host", host), func(r *h2Request) { r.fields = slices.Delete(r.fields, 3, 4) }), with(get("/a/10"), func(r *h2Request) { r.fields[3].Value = "u@" + host }),
		with(get("/a/10"), func(r *h2Request) { r.fields[3].Value = strings.ToUpper(host) + ":80" }), with(get("/a/10"), func(r *h2Request) { r.fields[3].Value = "a b" }),
		with(get("/a/10"), func(r *h2Request) { r.fields[1].Value = "https" }), with(get("/a/10"), func(r *h2Request) { r.fields[1].Value = "ftp" }),
		with(get("/a/10"), func(r *h2Request) { r.fields[0].Value = "get" }), with(get("/a/10"), func(r *h2Request) { r.fields[0].Value = "G ET" }),
		with(get("/a/10"), func(r *h2Request) { r.fields = append(r.fields, r.fields[0]) }), with(get("/a/10"), func(r *h2Request) { slices.Reverse(r.fields) }),
		with(get("/a/10", "x", "y"), func(r *h2Request) { slices.Reverse(r.fields) }), with(get("/a/10"), func(r *h2Request) { r.fields = r.fields[1:] }),
		with(get("/a/10"), func(r *h2Request) { r.body = []string{"hello"} }), with(get("/a/10"), func(r *h2Request) { r.body = []string{""} }),
		with(get("/b/10", "trailer", "x-t"), func(r *h2Request) {
			r.fields[0].Value, r.body, r.trailer = "POST", []string{"a", "b"}, []hpack.HeaderField{{Name: "x-t", Value: "1"}}
		}),
		with(get("/b/10"), func(r *h2Request) {
			r.fields[0].Value, r.body, r.trailer = "POST", []string{"a", "b"}, []hpack.HeaderField{{Name: ":path", Value: "1"}}
		}),
		with(get("/b/10", "content-length", "5"), func(r *h2Request) { r.fields[0].Value, r.body = "POST", []string{"a", "b"} }),
		with(get("/b/10", "content-length", "1"), func(r *h2Request) { r.fields[0].Value, r.body = "POST", []string{"a", "b"} }),
		with(get("h:80"), func(r *h2Request) { r.fields[0].Value = "CONNECT" }), with(get("/a/10", "x", "y"), func(r *h2Request) { r.cut = 5 }),
		with(get("/a/10", ":protocol", "websocket"), func(r *h2Request) { r.fields[0].Value = "CONNECT" }),
	}
	return all
}

// TestH2Requests tries each request alone, behind hits and before them, and in pieces.
func TestH2Requests(t *testing.T) {
	p := newH2Pair(t)
	host := p.host()
	p.warm(host, paths...)
	hit, _ := inHTTP2(requests[0], host)
	zipped, _ := inHTTP2(requests[6], host)
	random := rand.New(rand.NewPCG(5, 6))
	all := h2Only(host)
	for _, request := range slices.Concat(requests, corsRequests, conditionRequests()) {
		if r, ok := inHTTP2(request, host); ok {
			all = append(all, r)
		}
	}
	for _, r := range all {
		p.compare(nil, r)
		p.compare(nil, hit, r, zipped, hit)
		p.compare(func(b []byte) [][]byte { return cut(random, b) }, hit, r, r, hit)
	}
	if n := p.wired.hits.Load(); n < 800 {
		t.Errorf("the connections answered %d requests by themselves", n)
	}
	if n := p.slow.hits.Load(); n != 0 {
		t.Errorf("%d requests did not go the slow way", n)
	}
}

// TestH2Remembers: what was asked over HTTP/2 is answered by the connection the next time, under the same conditions as over HTTP/1.1.
func TestH2Remembers(t *testing.T) {
	p := newH2Pair(t)
	for _, path := range paths {
		host := p.host()
		r, _ := inHTTP2("GET "+path+" HTTP/1.1\r\nHost: H\r\n\r\n", host)
		before := p.wired.hits.Load()
		for range 3 {
			p.compare(nil, r)
		}
		time.Sleep(20 * time.Millisecond) // who was answered may know a little before it is counted
		if slow := slices.Contains([]string{"/a/100000", "/forwarded/10", "/odd/5", "/keyed/5"}, path); slow != (p.wired.hits.Load() == before) {
			t.Errorf("%s: the connections have answered %d, and it is left to net/http: %t", path, p.wired.hits.Load()-before, slow)
		}
	}
}

// TestH2Generated has some thousand random requests, many at once, in random pieces.
func TestH2Generated(t *testing.T) {
	p := newH2Pair(t)
	random := rand.New(rand.NewPCG(7, 8))
	for range 20 {
		host := p.host()
		p.warm(host, paths...)
		all := h2Only(host)
		for range 10 {
			var talk []h2Request
			for len(talk) < 1+random.IntN(20) {
				path := paths[random.IntN(len(paths))]
				r, ok := inHTTP2("GET "+path+" HTTP/1.1\r\nHost: H\r\n\r\n", host)
				switch random.IntN(4) {
				case 0:
					r, ok = inHTTP2(requests[random.IntN(len(requests))], host)
				case 1:
					r = all[random.IntN(len(all))]
				}
				if ok {
					talk = append(talk, r)
				}
			}
			p.compare(func(b []byte) [][]byte { return cut(random, b) }, talk...)
		}
	}
	if n := p.wired.hits.Load(); n < 500 {
		t.Errorf("the connections answered %d requests by themselves", n)
	}
}
