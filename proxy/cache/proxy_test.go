package cache_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
)

func TestTrailers(t *testing.T) {
	for _, control := range []string{"no-store", "max-age=60"} {
		o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			Text("body", "Cache-Control", control)(w, r)
			w.(http.Flusher).Flush()
			w.Header().Set("X-Sum", "1234")
		})
		g := Route(t, o.URL, cached)
		r := g.Get("/")
		want(t, r, 200, "body")
		if r.Trailer.Get("X-Sum") != "1234" {
			t.Errorf("%s: trailer %v", control, r.Trailer)
		}
	}
}

func TestInterimResponsesReachTheLeader(t *testing.T) {
	for _, control := range []string{"no-store", "max-age=60"} {
		gate := NewGate(t)
		o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
			gate.Wait()
			Text("body", "Cache-Control", control)(w, r)
		})
		g := Route(t, o.URL, cached)
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				if code != 103 || h.Get("Link") == "" {
					t.Errorf("interim %d %v", code, h)
				}
				gate.Open() // the final response is made only now
				return nil
			},
		})
		resp, err := g.Open(ctx, "GET", "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != "body" || err != nil || len(resp.Header["Link"]) > 0 {
			t.Errorf("%q %v %v", body, err, resp.Header)
		}
		resp.Body.Close()
	}
}

func TestNoInterimResponsesForHTTP10(t *testing.T) {
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		Text("body", "Cache-Control", "no-store")(w, r)
	})
	g := Route(t, o.URL, cached)
	conn := g.Dial()
	io.WriteString(conn, "GET / HTTP/1.0\r\nHost: a\r\n\r\n")
	got, _ := io.ReadAll(conn)
	if !bytes.HasPrefix(got, []byte("HTTP/1.0 200")) || bytes.Contains(got, []byte(" 103 ")) {
		t.Errorf("%q", got)
	}
}

func TestExpectContinue(t *testing.T) {
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		Text("got "+string(body))(w, r)
	})
	g := Route(t, o.URL, cached)
	conn := g.Dial()
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	br := bufio.NewReader(conn)
	if line, err := br.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	br.ReadString('\n')
	io.WriteString(conn, "data")
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); string(body) != "got data" {
		t.Errorf("%q", body)
	}
}

func TestRequestBodyStreams(t *testing.T) {
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		buf := make([]byte, 5)
		for {
			if _, err := io.ReadFull(r.Body, buf); err != nil {
				return
			}
			w.Write(bytes.ToUpper(buf))
			w.(http.Flusher).Flush()
		}
	})
	g := Route(t, o.URL, cached)
	pr, pw := io.Pipe()
	answered := make(chan *http.Response, 1)
	go func() {
		resp, err := g.Open(context.Background(), "POST", "/", pr)
		if err != nil {
			t.Error(err)
		}
		answered <- resp
	}()
	io.WriteString(pw, "first")
	resp := <-answered // while the body goes on
	if resp == nil {
		t.FailNow()
	}
	defer resp.Body.Close()
	if got := readSome(t, resp.Body, 5); got != "FIRST" {
		t.Errorf("%q", got)
	}
	io.WriteString(pw, "other")
	if got := readSome(t, resp.Body, 5); got != "OTHER" {
		t.Errorf("%q", got)
	}
	pw.Close()
	if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestAnswerBeforeTheRequestIsWhole(t *testing.T) {
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(403)
		w.(http.Flusher).Flush()
	})
	g := Route(t, o.URL, cached)
	conn := g.Dial()
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil) // the rest is never sent
	if err != nil || resp.StatusCode != 403 {
		t.Fatalf("%v, %v", resp, err)
	}
}

func TestRequestBodyThatIsTooLarge(t *testing.T) {
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	g := Route(t, o.URL, cached+"\nlimits: {body_bytes: 1KiB}")
	large := strings.Repeat("x", 4<<10)
	for name, body := range map[string]io.Reader{"announced": strings.NewReader(large), "chunked": io.MultiReader(strings.NewReader(large))} {
		r := g.Do("POST", "/", body)
		if r.Err != nil || r.Status != 413 || !strings.Contains(r.Header.Get("Proxy-Status"), "http_request_error") {
			t.Errorf("%s: %d %v %v", name, r.Status, r.Header, r.Err)
		}
	}
}

// echoUpgrade switches protocols and sends back what it gets, line by line in upper case, until it reads "quit".
func echoUpgrade(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		Text("plain", "Cache-Control", "max-age=60")(w, r)
		return
	}
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
	w.Header().Set("Sec-Websocket-Accept", "yes")
	w.WriteHeader(101)
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		line, err := buf.ReadString('\n')
		if err != nil || line == "quit\n" {
			return
		}
		io.WriteString(conn, strings.ToUpper(line))
	}
}

const handshake = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

func TestUpgradedConnection(t *testing.T) {
	for _, who := range []string{"origin", "client", "gateway"} {
		t.Run(who+" ends", func(t *testing.T) {
			o := NewOrigin(t, echoUpgrade)
			g := Route(t, o.URL, cached+"\nupgrade: websocket")
			conn := g.Dial()
			io.WriteString(conn, handshake+"early\n")
			br := bufio.NewReader(conn)
			resp, err := http.ReadResponse(br, nil)
			if err != nil || resp.StatusCode != 101 || resp.Header.Get("Sec-Websocket-Accept") != "yes" || resp.Header.Get("Upgrade") != "websocket" {
				t.Fatalf("%v %v", resp, err)
			}
			for _, said := range []string{"EARLY\n", "LATER\n"} {
				if got, err := br.ReadString('\n'); got != said {
					t.Fatalf("%q %v", got, err)
				}
				io.WriteString(conn, "later\n")
			}
			switch who {
			case "origin":
				io.WriteString(conn, "quit\n")
			case "client":
				conn.(interface{ CloseWrite() error }).CloseWrite()
			case "gateway":
				g.CloseUpgraded()
			}
			io.Copy(io.Discard, br) // it ends
			conn.Close()
			if e := g.Event(); e.Status != 101 {
				t.Errorf("status %d", e.Status)
			}
		})
	}
}

func TestUpgradeThatIsNotAllowed(t *testing.T) {
	o := NewOrigin(t, echoUpgrade)
	g := Route(t, o.URL, cached)
	conn := g.Dial()
	io.WriteString(conn, handshake)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("%v %v", resp, err)
	}
	unasked := Route(t, rawOrigin(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello"), cached)
	if r := unasked.Get("/"); r.Status != 502 {
		t.Errorf("a 101 without a request for it: %d", r.Status)
	}
}

func TestResponsesOfUnknownLengthStream(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, halves(gate, "first,", "second", "Cache-Control", "no-store"))
	g := Route(t, o.URL, cached)
	resp := open(t, g, "/")
	readSome(t, resp.Body, 6)
	gate.Open()
	if rest, err := io.ReadAll(resp.Body); string(rest) != "second" || err != nil {
		t.Errorf("%q %v", rest, err)
	}
	h := g.Do("HEAD", "/", nil)
	if h.Status != 200 || h.Body != "" {
		t.Errorf("HEAD: %d %q", h.Status, h.Body)
	}
}

func TestSlowClientHarmsNobody(t *testing.T) {
	const size = 8 << 20
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", fmt.Sprint(size))
		chunk := bytes.Repeat([]byte("x"), 64<<10)
		for range size / len(chunk) {
			w.Write(chunk)
		}
	})
	g := Start(t, "cache: {memory: {size: 256MiB, max_object: 16MiB}}\nupstreams:\n  origin: {targets: ["+o.URL+"]}\n"+
		"routes:\n  - {name: all, match: {path: /*}, upstream: origin, cache: {enabled: true}}\n")
	slow := g.Dial() // leads, and does not read
	io.WriteString(slow, "GET / HTTP/1.1\r\nHost: "+g.Addr+"\r\n\r\n")
	Eventually(t, "the origin is asked", func() bool { return o.Calls() == 1 })
	if r := g.Get("/"); r.Err != nil || len(r.Body) != size {
		t.Errorf("%d bytes, %v", len(r.Body), r.Err)
	}
	if r := g.Get("/"); !r.Hit() {
		t.Errorf("%s", r.Header["Cache-Status"])
	}
	wantCalls(t, o, 1)
}

func TestCloseWaitsForFills(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, gated(gate, Text("x", "Cache-Control", "max-age=60, stale-while-revalidate=60")))
	g := Route(t, o.URL, cached)
	ctx, leave := context.WithCancel(context.Background())
	go func() { gate.Came(t); leave() }()
	g.Open(ctx, "GET", "/", nil)
	g.Event()
	closed := make(chan error, 1)
	go func() { closed <- g.Gateway.Close(context.Background()) }()
	select {
	case err := <-closed:
		t.Fatalf("closed with a fill under way: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	gate.Open()
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func TestCloseThatMayNotWaitCancelsFills(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, halves(gate, "first,", "second", "Cache-Control", "max-age=60"))
	g := Route(t, o.URL, cached)
	resp := open(t, g, "/")
	readSome(t, resp.Body, 6)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.Gateway.Close(ctx); err != context.Canceled {
		t.Errorf("%v", err)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("a body that was cut off looks whole")
	}
	gate.Open()
}
