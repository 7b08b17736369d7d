package hostile

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

const halves = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nfirst"

// TestR3_LeaderLeaves: who began a fill may go; those who read along, and the store, get the whole.
func TestR3_LeaderLeaves(t *testing.T) {
	t.Parallel()
	rest := make(chan struct{})
	o := serve(t, func(c *call) {
		c.send(halves)
		<-rest
		c.send("-half")
	})
	g := start(t, o, everything)
	leader := g.dial()
	leader.send("GET /r3 HTTP/1.1\r\nHost: example.com\r\n\r\n")
	if _, err := leader.br.Peek(1); err != nil {
		t.Fatal(err)
	}
	var followers []*client
	for range 5 {
		f := g.dial()
		f.send("GET /r3 HTTP/1.1\r\nHost: example.com\r\n\r\n")
		if _, err := f.br.Peek(1); err != nil {
			t.Fatal(err)
		}
		followers = append(followers, f)
	}
	leader.Close()
	followers[0].Close() // and one who follows
	close(rest)
	for _, f := range followers[1:] {
		if a := f.receive("GET"); a.err != nil || a.body != "first-half" {
			t.Errorf("a follower got %q %v", a.body, a.err)
		}
	}
	eventually(t, "the answer is stored", func() bool { return g.get("/r3", "").hit() })
	if n := len(o.seen()); n != 1 {
		t.Errorf("the origin was asked %d times", n)
	}
	nothingLeft(t, g)
}

// TestR3_UpstreamNeverEnds: what an origin does not end, a bound ends, for the leader and all who follow, and nothing of it stays.
func TestR3_UpstreamNeverEnds(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) {
		if strings.HasPrefix(c.target(), "/body") {
			c.send(halves)
		}
		if strings.HasPrefix(c.target(), "/other") {
			c.ok("", c.target())
			return
		}
		io.Copy(io.Discard, c.br) // until the gateway gives up
		c.hangUp()
	})
	g := start(t, o, everything, "first_byte: 10s, idle: 10s", "first_byte: 500ms, idle: 500ms")
	var all sync.WaitGroup
	for _, target := range []string{"/head", "/body"} {
		for range 5 {
			c := g.dial()
			all.Go(func() {
				fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: example.com\r\n\r\n", target)
				a, err := c.tryReceive("GET")
				if target == "/head" && (err != nil || a.status != http.StatusGatewayTimeout) {
					t.Errorf("an origin that says nothing: %d %v", a.status, err)
				}
				if target == "/body" && err == nil && a.err == nil && a.status == 200 {
					t.Errorf("an origin that stops in the middle: %d %q looks whole", a.status, a.body)
				}
			})
		}
	}
	if a := g.get("/other", ""); a.status != 200 {
		t.Errorf("others meanwhile: %d", a.status)
	}
	all.Wait()
	nothingLeft(t, g)
}

// nothingLeft ends the gateway by force, and looks for goroutines of requests that are over.
func nothingLeft(t *testing.T, g *gateway) {
	t.Helper()
	time.Sleep(300 * time.Millisecond)
	var left []string
	for _, stack := range g.Stacks() {
		for _, who := range []string{"proxy/cache.(*Cache)", "proxy/cache.(*delivery)", "proxy/flight.", "proxy.(*Gateway).ServeHTTP"} {
			if strings.Contains(stack, who) {
				left = append(left, stack)
				break
			}
		}
	}
	if len(left) > 0 {
		t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
	}
}

// TestR5_UncacheableIsNotSerialised: the origin holds every answer until several calls are there at once.
func TestR5_UncacheableIsNotSerialised(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string]string{
		"private": "Cache-Control: private\r\n", "no-store": "Cache-Control: no-store\r\n", "Set-Cookie": "Cache-Control: max-age=60\r\nSet-Cookie: a=b\r\n", "Vary": "Cache-Control: max-age=60\r\nVary: *\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 20
			var calls atomic.Int64
			together := make(chan struct{})
			o := serve(t, func(c *call) {
				// The first tells that nobody else can use the answer; all others have to come at once.
				if calls.Add(1) == n {
					close(together)
				}
				if calls.Load() > 1 {
					select {
					case <-together:
					case <-time.After(patience / 2):
						c.send("HTTP/1.1 500 One at a time\r\nContent-Length: 0\r\n\r\n")
						return
					}
				}
				c.ok(fields, "x")
			})
			g := start(t, o, everything)
			var all sync.WaitGroup
			for range n {
				c := g.dial()
				all.Go(func() {
					io.WriteString(c, "GET /r5 HTTP/1.1\r\nHost: example.com\r\n\r\n")
					if a, err := c.tryReceive("GET"); err != nil || a.status != 200 {
						t.Errorf("%d %v", a.status, err)
					}
				})
			}
			all.Wait()
		})
	}
}

const object = 10_000_000

// ranging is an origin of one large object that obeys ranges; sent counts the bytes of content.
func ranging(t *testing.T, sent *atomic.Int64) *origin {
	content := bytes.Repeat([]byte("0123456789"), object/10)
	return serve(t, func(c *call) {
		first, last, status := 0, object-1, "200 OK"
		fields := "Cache-Control: max-age=60\r\nETag: \"1\"\r\nAccept-Ranges: bytes\r\nContent-Type: text/plain\r\n"
		if a, b, ok := strings.Cut(strings.TrimPrefix(c.field("Range"), "bytes="), "-"); ok && !strings.Contains(b, ",") {
			switch {
			case a == "":
				n, _ := strconv.Atoi(b)
				first = object - n
			default:
				first, _ = strconv.Atoi(a)
				if b != "" {
					last, _ = strconv.Atoi(b)
				}
			}
			if first >= object {
				c.send(fmt.Sprintf("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */%d\r\nContent-Length: 0\r\n\r\n", object))
				return
			}
			last = min(last, object-1)
			status, fields = "206 Partial Content", fields+fmt.Sprintf("Content-Range: bytes %d-%d/%d\r\n", first, last, object)
		}
		c.send(fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n", status, fields, last-first+1))
		n, _ := c.conn.Write(content[first : last+1])
		sent.Add(int64(n))
	})
}

func TestR6_TinyRangesOfALargeObject(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	o := ranging(t, &sent)
	g := start(t, o, everything)
	for i := range 20 {
		for fields, want := range map[string]string{"Range: bytes=0-0\r\n": "0", "Range: bytes=-1\r\n": "9", "Range: bytes=5000005-5000007\r\n": "567"} {
			if a := g.get(fmt.Sprintf("/large?%d", i), fields); a.status != http.StatusPartialContent || a.body != want {
				t.Errorf("%q: %d, %d bytes", fields, a.status, len(a.body))
			}
		}
	}
	if sent.Load() > 1000 {
		t.Errorf("the origin sent %d bytes for 100 that were asked for", sent.Load())
	}
	if a := g.get("/large", "Range: bytes=99999999999999-\r\n"); a.status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("beyond the end: %d", a.status)
	}
	if a := g.get("/large", "Range: bytes=99999999999999999999999-\r\n"); a.status != http.StatusRequestedRangeNotSatisfiable && a.status != 200 && a.status != 400 {
		t.Errorf("far beyond the end: %d", a.status)
	}
}

func TestR6_ManyRanges(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("0123456789", 10_000)
	o := serve(t, func(c *call) { c.ok("Cache-Control: max-age=60\r\nETag: \"1\"\r\nContent-Type: text/plain\r\n", body) })
	g := start(t, o, everything)
	g.get("/stored", "")
	for name, ranges := range map[string]string{
		"overlapping": strings.TrimSuffix(strings.Repeat("0-,", 1000), ","),
		"nested": func() string {
			var s []string
			for i := range 1000 {
				s = append(s, fmt.Sprintf("%d-", i))
			}
			return strings.Join(s, ",")
		}(),
		"tiny": func() string {
			var s []string
			for i := range 1000 {
				s = append(s, fmt.Sprintf("%d-%d", 2*i, 2*i))
			}
			return strings.Join(s, ",")
		}(),
	} {
		a := g.get("/stored", "Range: bytes="+ranges+"\r\n")
		if len(a.body) > 2*len(body) {
			t.Errorf("%s: %d, %d bytes of an object of %d", name, a.status, len(a.body), len(body))
		}
	}
}

func TestR7_Bombs(t *testing.T) {
	t.Parallel()
	bombs := map[string]string{}
	for name, newWriter := range map[string]func(w io.Writer) io.WriteCloser{
		"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"zstd": func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w, zstd.WithWindowSize(8<<20)); return z },
	} {
		var b bytes.Buffer
		w := newWriter(&b)
		w.Write(make([]byte, 4<<20))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		bombs[name] = strings.Repeat(b.String(), 64) // both formats may be put one after another
	}
	o := serve(t, func(c *call) {
		coding := strings.Trim(c.target(), "/")
		if coding == "healthy" {
			c.ok("", c.target())
			return
		}
		c.ok("Content-Type: text/plain\r\nCache-Control: max-age=60\r\nContent-Encoding: "+coding+"\r\n", bombs[coding])
	})
	g := start(t, o, `  - {name: all, match: {path: "/*"}, upstream: origin, cache: {enabled: true}, compress: {encodings: [zstd, br, gzip]}}`)
	before := g.PeakMemory()
	for coding := range bombs {
		for _, accept := range []string{"identity", "br"} { // what has to be decoded to be of use
			c := g.dial()
			c.send("GET /" + coding + " HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: " + accept + "\r\n\r\n")
			a, err := c.tryReceive("GET")
			if err == nil && a.err == nil && len(a.body) > 24<<20 {
				t.Errorf("%s for %s: %d, %d bytes of %d", coding, accept, a.status, len(a.body), len(bombs[coding]))
			}
			c.Close()
		}
	}
	if grown := g.PeakMemory() - before; grown > 256<<20 {
		t.Errorf("the gateway took %d MiB more", grown>>20)
	}
	g.healthy(o)
}

func TestR9_EndlessChunks(t *testing.T) {
	t.Parallel()
	var stopped sync.WaitGroup
	stopped.Add(1)
	chunk := "10000\r\n" + strings.Repeat("x", 1<<16) + "\r\n"
	o := serve(t, func(c *call) {
		c.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			if _, err := io.WriteString(c.conn, chunk); err != nil {
				c.hangUp()
				stopped.Done()
				return
			}
		}
	})
	g := start(t, o, everything)
	before := g.PeakMemory()
	c := g.dial()
	c.send("GET /endless HTTP/1.1\r\nHost: example.com\r\n\r\n")
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, resp.Body, 128<<20); err != nil {
		t.Fatalf("after %d bytes: %v", n, err)
	}
	c.Close()
	stopped.Wait() // nobody reads any more: the origin's connection must end
	if grown := g.PeakMemory() - before; grown > 64<<20 {
		t.Errorf("128 MiB went through, the gateway took %d MiB more", grown>>20)
	}
	nothingLeft(t, g)
}

func TestR9_LargerThanTheLimit(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("0123456789", 300_000) // of 1 MiB that may be stored
	o := serve(t, func(c *call) {
		if c.target() == "/sized" {
			c.ok("Cache-Control: max-age=60\r\n", body)
			return
		}
		c.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body))
	})
	g := start(t, o, everything)
	for _, target := range []string{"/sized", "/chunked"} {
		for range 3 {
			if a := g.get(target, ""); a.err != nil || a.body != body || a.hit() {
				t.Errorf("%s: %d bytes, %v %v", target, len(a.body), a.err, a.header)
			}
		}
	}
}

func TestR18_UpstreamNonsense(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&many, "X-%d: %d\r\n", i, i)
	}
	answers := map[string]string{ // those that must be 502
		"/status":    "HTTP/1.1 999 Too far\r\nContent-Length: 1\r\n\r\nx",
		"/nostatus":  "HTTP/1.1 abc\r\nContent-Length: 1\r\n\r\nx",
		"/garbage":   "\x00\x01\x02\x03\r\n\r\n",
		"/many":      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n" + many.String() + "\r\nx",
		"/longline":  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-Long: " + strings.Repeat("x", 12<<20) + "\r\n\r\nx",
		"/lengths":   "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"/badlength": "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
		"/te":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nx",
		"/name":      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX Y: z\r\n\r\nx",
		"/nul":       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-Nul: a\x00b\r\n\r\nx",
	}
	odd := map[string]string{ // those that may be passed on, but break nothing
		"/reason":   "HTTP/1.1 200 \xff\xfe\x01reason\r\nContent-Length: 1\r\n\r\nx",
		"/version":  "HTTP/9.9 200 OK\r\nContent-Length: 1\r\n\r\nx",
		"/noreason": "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx",
		"/range1":   "HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\nContent-Range: bytes 5-1/3\r\nContent-Length: 1\r\n\r\nx",
		"/range2":   "HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\nContent-Range: bytes 0-99999999999999999999/3\r\nContent-Length: 1\r\n\r\nx",
		"/range3":   "HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\nContent-Range: garbage\r\nContent-Length: 1\r\n\r\nx",
		"/range4":   "HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\nContent-Range: bytes 0-0/-1\r\nContent-Length: 1\r\n\r\nx",
		"/range5":   "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 1\r\n\r\nx",
		"/date":     "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nDate: yesterday\r\nAge: 1e9\r\nExpires: \"\"\r\nContent-Length: 1\r\n\r\nx",
	}
	o := serve(t, func(c *call) {
		if raw := answers[c.target()] + odd[c.target()]; raw != "" {
			c.send(raw)
			c.hangUp()
			return
		}
		c.ok("", c.target())
	})
	g := start(t, o, everything)
	for target := range answers {
		for range 2 {
			if a := g.get(target, ""); a.status != http.StatusBadGateway {
				t.Errorf("%s: %d %.100q", target, a.status, fmt.Sprint(a.header))
			}
		}
	}
	for target := range odd {
		for _, fields := range []string{"", "Range: bytes=0-0\r\n", "Range: bytes=1-5\r\n", ""} {
			c := g.dial()
			c.send("GET " + target + " HTTP/1.1\r\nHost: example.com\r\n" + fields + "\r\n")
			a, err := c.tryReceive("GET")
			if err != nil {
				t.Errorf("%s with %q: %v", target, fields, err)
			}
			if strings.HasPrefix(target, "/range") && fields == "" && a.status == 200 && target != "/range5" {
				t.Errorf("%s: a part that is none became %d %q", target, a.status, a.body)
			}
		}
	}
	g.healthy(o)
}
