package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
	"github.com/penstock/penstock/proxy/upstream/hop"
	"github.com/penstock/penstock/proxy/upstream/link"
	"github.com/penstock/penstock/proxy/upstream/send"
)

const okResponse = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// F3: a CONNECT, whose body HTTP/1.1 would write without framing, never reaches a target.
func TestF3ConnectIsNotForwarded(t *testing.T) {
	s := answering(t, okResponse)
	p := newPool(t, to(s.url))
	closed := false
	r := request("CONNECT", "/", nil)
	r.Body = &closer{strings.NewReader("GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"), &closed}
	r.ContentLength = -1
	if k := kindOf(t, p, r); k != fault.RequestDenied {
		t.Errorf("kind %v", k)
	}
	if _, conns := s.seen(); conns != 0 || !closed {
		t.Errorf("%d connections, body closed: %v", conns, closed)
	}
}

type closer struct {
	io.Reader
	closed *bool
}

func (c *closer) Close() error { *c.closed = true; return nil }

// F5: a change of protocol is accepted only where it was asked for; anything but 101 leaves an ordinary response.
func TestF5Upgrade(t *testing.T) {
	f := func(ask, answer string, want fault.Kind) {
		t.Helper()
		s := answering(t, answer)
		p := newPool(t, to(s.url))
		r := request("GET", "/", nil)
		r.Header.Set("Upgrade", "h2c") // what a client sent without the gateway's consent
		if ask != "" {
			hop.AskUpgrade(r.Header, ask)
		}
		if k := kindOf(t, p, r); k != want {
			t.Errorf("asked %q, answer %q: %v, want %v", ask, answer, k, want)
		}
		eventually(t, "no open connection", func() bool { return p.targets[0].endpoint.Open.Load() == 0 })
		if heads, _ := s.seen(); strings.Contains(heads[0], "h2c") {
			t.Errorf("sent %q", heads[0])
		}
	}
	const switching = "HTTP/1.1 101 Switching Protocols\r\n"
	f("", switching+"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", fault.UpgradeFailed)
	f("", switching+"\r\n", fault.UpgradeFailed)
	f("websocket", switching+"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", fault.UpgradeFailed)
	f("websocket", switching+"Connection: Upgrade\r\n\r\n", fault.UpgradeFailed)
	f("websocket", switching+"Upgrade: websocket\r\n\r\n", fault.UpgradeFailed)
}

func TestF5RefusedUpgradeIsAnOrdinaryResponse(t *testing.T) {
	s := answering(t, "HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nok")
	p := newPool(t, to(s.url))
	for range 2 {
		r := request("GET", "/", nil)
		hop.AskUpgrade(r.Header, "websocket")
		resp, body := do(t, p, r)
		if _, writable := resp.Body.(io.Writer); writable || body != "ok" || resp.Header.Get("Upgrade") != "" {
			t.Errorf("%q %v, writable %v", body, resp.Header, writable)
		}
	}
}

// F7: no framing of the client's is taken over, whatever the version; a target that leaves the connection in doubt loses it.
func TestF7Framing(t *testing.T) {
	s := answering(t, okResponse)
	p := newPool(t, to(s.url))
	for _, method := range []string{"GET", "DELETE", "OPTIONS", "POST"} {
		r := request(method, "/", nil)
		r.Body, r.ContentLength, r.ProtoMinor = http.NoBody, 0, 0
		r.Header = http.Header{"Transfer-Encoding": {"chunked"}, "Content-Length": {"7"}, "Expect": {"100-continue"}}
		do(t, p, r)
	}
	heads, conns := s.seen()
	for _, head := range heads {
		if strings.Contains(head, "Transfer-Encoding") || strings.Contains(head, "Content-Length: 7") || strings.Contains(head, "Expect") || !strings.Contains(head, "Via: 1.0 penstock") {
			t.Errorf("sent %q", head)
		}
	}
	if conns != 1 {
		t.Errorf("%d connections", conns)
	}
}

func TestF7EarlyAnswerToExpect(t *testing.T) {
	s := serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
		if _, ok := s.head(br); !ok {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok") // a hit, without 100
		io.Copy(io.Discard, br)
	})
	p := newPool(t, to(s.url))
	for range 2 {
		r := request("POST", "/", strings.NewReader("body"))
		r.Header.Set("Expect", "100-continue")
		if _, body := do(t, p, r); body != "ok" {
			t.Errorf("body %q", body)
		}
	}
	if _, conns := s.seen(); conns != 2 {
		t.Errorf("%d connections, want a new one each time", conns)
	}
}

// F11: what a target sends beyond its response is never the response to the next request.
func TestF11TwoResponses(t *testing.T) {
	for _, extra := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Evil: 1\r\n\r\nstolen",
		"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
		"garbage",
	} {
		p := newPool(t, to(evil(t, okResponse+extra).url))
		for i := range 20 {
			resp, body := do(t, p, request("GET", "/", nil))
			if body != "ok" || resp.Header.Get("X-Evil") != "" {
				t.Fatalf("request %d got %q %v", i, body, resp.Header)
			}
		}
	}
}

// evil answers each request on every connection with the same bytes in one write.
func evil(t *testing.T, bytes string) *script { return answering(t, bytes) }

func TestF11BodyAfter304(t *testing.T) {
	p := newPool(t, to(evil(t, "HTTP/1.1 304 Not Modified\r\nContent-Length: 54\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Evil: 1\r\n\r\nstolen").url))
	for range 20 {
		if resp, _ := do(t, p, request("GET", "/", nil)); resp.StatusCode != 304 || resp.Header.Get("X-Evil") != "" {
			t.Fatalf("got %d %v", resp.StatusCode, resp.Header)
		}
	}
}

func TestF11BodyAfterHead(t *testing.T) {
	p := newPool(t, to(evil(t, "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\nHTTP/1.1 403 No\r\n\r\n").url))
	for range 20 {
		if resp, _ := do(t, p, request("HEAD", "/", nil)); resp.StatusCode != 200 {
			t.Fatalf("got %d", resp.StatusCode)
		}
	}
}

// A POST can't be sent twice: it fails rather than to get an answer that may be another's.
func TestF11LeftoverFailsWhatCannotBeRepeated(t *testing.T) {
	p := newPool(t, to(evil(t, okResponse+"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen").url))
	for range 20 {
		resp, err := p.RoundTrip(request("POST", "/", strings.NewReader("x")))
		if err != nil {
			var own *fault.Error
			if !errors.As(err, &own) || own.Kind != fault.ConnectionTerminated {
				t.Fatal(err)
			}
			continue
		}
		if body, _ := io.ReadAll(resp.Body); string(body) != "ok" {
			t.Fatalf("got %q", body)
		}
		resp.Body.Close()
	}
}

// The same deterministically: the bytes are there before the request is.
func TestF11ResponseBeforeRequest(t *testing.T) {
	s := serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
		s.head(br)
	})
	c := to(s.url)
	p := newPool(t, c)
	p.dial = func(ctx context.Context, tg *target) (*link.Conn, error) {
		c, err := dialPlain(ctx, tg)
		if err == nil {
			eventually(t, "early bytes", func() bool { return !c.Probe.Silent() })
		}
		return c, err
	}
	for range 10 {
		if k := kindOf(t, p, request("GET", "/", nil)); k != fault.ConnectionTerminated {
			t.Errorf("kind %v", k)
		}
	}
}

func TestF11InterimFlood(t *testing.T) {
	s := serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
		s.head(br)
		for {
			if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"); err != nil {
				return
			}
		}
	})
	p := newPool(t, to(s.url))
	n := 0
	r := request("GET", "/", nil)
	r = r.WithContext(WithInterim(r.Context(), func(int, http.Header) { n++ }))
	if k := kindOf(t, p, r); k != fault.ProtocolError || n != send.MaxInterim {
		t.Errorf("kind %v after %d", k, n)
	}
}

func TestF11EarlyClose(t *testing.T) {
	f := func(answer string, want fault.Kind) {
		t.Helper()
		p := newPool(t, to(once(t, answer).url))
		r, ev := withEvent(request("GET", "/", nil))
		if k := kindOf(t, p, r); k != want {
			t.Errorf("%q: %v, want %v (%v)", answer, k, want, ev.Err)
		}
		if p.InFlight() != 0 {
			t.Errorf("%q: still in flight", answer)
		}
	}
	f("", fault.ConnectionTerminated)
	f("HTTP/1.1 200", fault.ConnectionTerminated)
	f("HTTP/1.1 200 OK\r\nContent-Le", fault.ProtocolError) // net/http tells it from a field without a colon no more than we
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour", fault.ResponseIncomplete)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n", fault.ResponseIncomplete)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n", fault.ResponseIncomplete)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfo", fault.ResponseIncomplete)
}

// R18 and what else no valid response is.
func TestInvalidResponses(t *testing.T) {
	f := func(answer string, want fault.Kind) {
		t.Helper()
		p := newPool(t, to(once(t, answer).url))
		if k := kindOf(t, p, request("GET", "/?"+url.QueryEscape(answer[:min(80, len(answer))]), nil)); k != want {
			t.Errorf("%q: %v, want %v", answer, k, want)
		}
	}
	f("SSH-2.0-OpenSSH_9.2\r\n\r\n", fault.ProtocolError)
	f("HTTP/1.1 2OO OK\r\n\r\n", fault.ProtocolError)
	f("HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n", fault.ProtocolError)
	f("HTTP/1.1 99 No\r\nContent-Length: 0\r\n\r\n", fault.ProtocolError)
	f("HTTP/1.1 600 No\r\nContent-Length: 0\r\n\r\n", fault.ProtocolError)
	f("HTTP/1.1 200 OK\r\nA B: c\r\nContent-Length: 0\r\n\r\n", fault.ProtocolError)
	f("HTTP/1.1 200 OK\r\nA: b\x00c\r\nContent-Length: 0\r\n\r\n", fault.ProtocolError)
	f("HTTP/1.1 200 OK\r\nA: b\rX-Evil: c\r\nContent-Length: 0\r\n\r\n", fault.ProtocolError)
	f("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", fault.ProtocolError)
	f("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", fault.ProtocolError)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n", fault.ProtocolError)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", fault.ProtocolError)
	f("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", DefaultMaxHeaderBytes)+"\r\n\r\n", fault.ResponseHeaderTooLarge)
	f("HTTP/1.1 200 OK\r\n"+strings.Repeat("X-Y: z\r\n", 40000)+"\r\n", fault.ResponseHeaderTooLarge)
}

func TestSpaceBeforeColonIsRemoved(t *testing.T) {
	p := newPool(t, to(once(t, "HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 0\r\n\r\n").url))
	resp, _ := do(t, p, request("GET", "/", nil))
	for name := range resp.Header {
		if strings.Contains(name, " ") {
			t.Errorf("field %q", name)
		}
	}
	if resp.Header.Get("X-A") != "1" {
		t.Errorf("%v", resp.Header)
	}
}

func TestStaleKeepAliveConnection(t *testing.T) {
	s := serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
		s.head(br)
		io.WriteString(c, okResponse)
		s.head(br) // the second request of a connection is never answered
	})
	p := newPool(t, to(s.url))
	for range 4 {
		do(t, p, request("GET", "/", nil))
	}
}

func TestLoopIsRefused(t *testing.T) {
	s := answering(t, okResponse)
	p := newPool(t, to(s.url))
	r := request("GET", "/", nil)
	r.Header["Via"] = []string{strings.TrimSuffix(strings.Repeat("1.1 penstock, ", hop.MaxPasses-1), ", ")}
	do(t, p, r)
	r.Header["Via"] = append(r.Header["Via"], "1.1 penstock")
	if k := kindOf(t, p, r); k != fault.LoopDetected {
		t.Errorf("kind %v", k)
	}
}

func TestTimeouts(t *testing.T) {
	slow := func(before, after string, pause time.Duration) *script {
		return serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
			s.head(br)
			io.WriteString(c, before)
			time.Sleep(pause)
			io.WriteString(c, after)
			io.Copy(io.Discard, br)
		})
	}
	const head, long = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n", 2 * time.Second
	f := func(s *script, bounds Timeouts, want fault.Kind) {
		t.Helper()
		c := to(s.url)
		c.Timeouts = bounds
		p := newPool(t, c)
		started := time.Now()
		if k := kindOf(t, p, request("GET", "/", nil)); k != want || !k.Timeout() {
			t.Errorf("%+v: %v, want %v", bounds, k, want)
		}
		if d := time.Since(started); d > long/2 {
			t.Errorf("%+v: it took %v", bounds, d)
		}
		if p.InFlight() != 0 {
			t.Errorf("%+v: still in flight", bounds)
		}
	}
	short := 30 * time.Millisecond
	f(slow("", head, long), Timeouts{FirstByte: short}, fault.ResponseTimeout)
	f(slow("", head, long), Timeouts{Total: short}, fault.ResponseTimeout)
	f(slow(head+"four", "four", long), Timeouts{FirstByte: short, Idle: short}, fault.ReadTimeout)
	f(slow(head+"four", "four", long), Timeouts{FirstByte: short, Total: short}, fault.ResponseTimeout)

	// A steady trickle is not idle, and a slow reader is not the target's fault.
	c := to(serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
		s.head(br)
		io.WriteString(c, head)
		for i := range 8 {
			time.Sleep(20 * time.Millisecond)
			fmt.Fprint(c, i)
		}
	}).url)
	c.Timeouts.Idle = time.Second
	p := newPool(t, c)
	resp, err := p.RoundTrip(request("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	one := make([]byte, 1)
	io.ReadFull(resp.Body, one)
	time.Sleep(1300 * time.Millisecond)
	if rest, err := io.ReadAll(resp.Body); string(rest) != "1234567" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestTargetThatStopsReading(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	s := serve(t, func(s *script, c net.Conn, br *bufio.Reader) { s.head(br); <-stop })
	c := to(s.url)
	c.Timeouts.Idle = 60 * time.Millisecond
	p := newPool(t, c)
	r := request("POST", "/", io.LimitReader(zeros{}, 1<<30))
	r.ContentLength = 1 << 30
	if k := kindOf(t, p, r); k != fault.WriteTimeout {
		t.Errorf("kind %v", k)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestConnectFailures(t *testing.T) {
	f := func(url string, want fault.Kind) {
		t.Helper()
		c := to(url)
		c.Timeouts.Connect = 5 * time.Second
		if want == fault.ConnectionTimeout {
			c.Timeouts.Connect = 50 * time.Millisecond
		}
		p := newPool(t, c)
		r, ev := withEvent(request("GET", "/", nil))
		if k := kindOf(t, p, r); k != want || ev.ProxyStatus != want.ProxyStatus() {
			t.Errorf("%s: %v, want %v (%v)", url, k, want, ev.Err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := ln.Addr().String()
	ln.Close()
	f("http://"+gone, fault.ConnectionRefused)
	f("https://"+gone, fault.ConnectionRefused)
	silent := serve(t, func(s *script, c net.Conn, br *bufio.Reader) { io.Copy(io.Discard, br) })
	f("https"+strings.TrimPrefix(silent.url, "http"), fault.ConnectionTimeout) // the TLS handshake is part of connecting
	plain := serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
		br.ReadByte()
		io.WriteString(c, "HTTP/1.1 400 No\r\n\r\n")
	})
	f("https"+strings.TrimPrefix(plain.url, "http"), fault.TLSProtocol)
	shut := serve(t, func(s *script, c net.Conn, br *bufio.Reader) {})
	f("https"+strings.TrimPrefix(shut.url, "http"), fault.TLSProtocol)
}
