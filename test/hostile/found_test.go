package hostile

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func TestF2_Chunks(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	for _, body := range []string{
		"3\nabc\r\n0\r\n\r\n",
		"3;x=y\nabc\r\n0\r\n\r\n",
		"3;x=\ny\r\nabc\r\n0\r\n\r\n",
		"3;x=\ry\r\nabc\r\n0\r\n\r\n",
		"3\r\nabc\n0\r\n\r\n",
		"3\r\nabcd\r\n0\r\n\r\n",
		"0x3\r\nabc\r\n0\r\n\r\n",
		"+3\r\nabc\r\n0\r\n\r\n",
		" 3\r\nabc\r\n0\r\n\r\n",
		"-3\r\nabc\r\n0\r\n\r\n",
		"10000000000000003\r\nabc\r\n0\r\n\r\n",
		"3_0\r\nabc\r\n0\r\n\r\n",
		"\r\n3\r\nabc\r\n0\r\n\r\n",
		"3;" + strings.Repeat("x", 20_000) + "\r\nabc\r\n0\r\n\r\n",
	} {
		c := g.dial()
		c.send("POST /f2 HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n" + body + smuggled)
		c.refused(http.StatusBadRequest)
		if t.Failed() {
			t.Fatalf("with %q", body[:min(len(body), 60)])
		}
	}
	for _, k := range o.seen() {
		if k.body() != "" && !strings.HasPrefix("abc", k.body()) {
			t.Errorf("the origin was sent %q with body %q", k.head, k.body())
		}
	}
	g.healthy(o)
}

// RFC 9112 §6.1: a server that gets both must close the connection after its response, if it does not refuse.
func TestF1_BothEndTheConnection(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	c := g.dial()
	c.SetDeadline(time.Now().Add(3 * time.Second))
	c.send("POST /f1 HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled)
	c.receive("POST")
	if !c.closed() {
		t.Error("the connection goes on")
	}
	o.mustNotHave("smuggled")
}

func TestK2_QuestionMarkAlone(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	a, b := g.get("/x?", ""), g.get("/x", "")
	if b.hit() && a.body != "/x" {
		t.Errorf("the origin was sent %v, and the answer to the first was given for the second", o.targets())
	}
}

func TestK8_NothingSaidAboutReuse(t *testing.T) {
	t.Parallel()
	for _, fields := range []string{"", "Cache-Control: max-age=0\r\n", "Cache-Control: max-age=0\r\nETag: \"a\"\r\n", "Expires: 0\r\n"} {
		release := make(chan struct{})
		var first sync.Once
		o := serve(t, func(k *call) {
			first.Do(func() { <-release })
			k.ok(fields, "secret of "+k.field("Cookie"))
		})
		g := start(t, o, everything)
		var all sync.WaitGroup
		for i := range 4 {
			conn := g.dial()
			all.Go(func() {
				fmt.Fprintf(conn, "GET /k8 HTTP/1.1\r\nHost: example.com\r\nCookie: id=%d\r\n\r\n", i)
				if a, err := conn.tryReceive("GET"); err != nil || a.body != fmt.Sprintf("secret of id=%d", i) {
					t.Errorf("%q: client %d got %q %v %v", fields, i, a.body, a.header["Cache-Status"], err)
				}
			})
		}
		eventually(t, "the origin is asked", func() bool { return len(o.seen()) > 0 })
		time.Sleep(300 * time.Millisecond)
		close(release)
		all.Wait()
	}
}

func TestK13_ReflectedOrigin(t *testing.T) {
	t.Parallel()
	o := serve(t, func(k *call) {
		k.ok("Cache-Control: max-age=60\r\nAccess-Control-Allow-Origin: "+k.field("Origin")+"\r\nAccess-Control-Allow-Credentials: true\r\n", "x")
	})
	g := start(t, o, everything)
	g.get("/", "Origin: https://evil.example\r\n")
	if a := g.get("/", "Origin: https://good.example\r\n"); a.header.Get("Access-Control-Allow-Origin") == "https://evil.example" {
		t.Errorf("the next client got %v", a.header)
	}
}

// TestF7_EarlyAnswerToExpect: an origin that answers without having read the body may still take what comes next for the body.
func TestF7_EarlyAnswerToExpect(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) { c.ok("", c.target()) }) // never asks for the body: readBody is left out where Expect is
	g := start(t, o, everything)
	for range 3 {
		c := g.dial()
		c.send(fmt.Sprintf("POST /expect HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(smuggled)))
		if a := c.receive("POST"); a.status == http.StatusContinue {
			c.send(smuggled)
			a = c.receive("POST")
		}
		g.healthyBesides()
	}
}

// TestR1_RapidReset finds a data race too: delivery.along reads l.trailer though the fill still runs, where the client has gone.
func TestR1_RapidReset(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	f := g.h2()
	f.conn.SetDeadline(time.Now().Add(2 * time.Second)) // nobody reads the answers: writing may block
	for i := range 10_000 {
		var block bytes.Buffer
		enc := hpack.NewEncoder(&block)
		for _, kv := range get([2]string{"x-n", fmt.Sprint(i)}) {
			enc.WriteField(hpack.HeaderField{Name: kv[0], Value: kv[1]})
		}
		id := uint32(2*i + 1)
		if f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true}) != nil || f.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break
		}
	}
	g.healthy(o)
}
