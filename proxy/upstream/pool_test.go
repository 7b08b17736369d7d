package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
	"github.com/penstock/penstock/proxy/upstream/hop"
)

func TestRoundTripRewritesTheRequest(t *testing.T) {
	s := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	p := newPool(t, to(s.url))
	r := request("GET", "/a%2Fb?x=1&y", nil)
	r.Host = "shop.example"
	r.Header = http.Header{
		"Connection": {"close, X-Hop"}, "X-Hop": {"1"}, "Keep-Alive": {"timeout=5"}, "Te": {"trailers, gzip"}, "Proxy-Authorization": {"x"},
		"Accept": {"text/plain"}, "Via": {"1.0 old"}, "Upgrade": {"h2c"},
	}
	r, ev := withEvent(r)
	resp, body := do(t, p, r)
	if body != "ok" || resp.Header.Get("Via") != "1.1 penstock" {
		t.Errorf("body %q, header %v", body, resp.Header)
	}
	heads, _ := s.seen()
	want := "GET /a%2Fb?x=1&y HTTP/1.1\r\nHost: " + strings.TrimPrefix(s.url, "http://") +
		"\r\nAccept: text/plain\r\nConnection: TE\r\nTe: trailers\r\nVia: 1.0 old\r\nVia: 1.1 penstock\r\n\r\n"
	if heads[0] != want {
		t.Errorf("sent\n%q, want\n%q", heads[0], want)
	}
	if ev.Upstream != "up" || ev.Target != s.url || ev.UpstreamStatus != 200 || ev.Tries != 1 || ev.FirstByte <= 0 || ev.Err != nil || ev.ProxyStatus != "" {
		t.Errorf("event %+v", ev)
	}
	if r.Header.Get("X-Hop") == "" || len(r.Header["Via"]) != 1 {
		t.Error("the caller's header was changed")
	}
}

func TestPreserveHostAndBasePath(t *testing.T) {
	s := answering(t, "HTTP/1.1 204 No Content\r\n\r\n")
	c := to(s.url + "/base%20x/")
	c.PreserveHost = true
	p := newPool(t, c)
	r := request("POST", "/a%2Fb", nil)
	r.Host = "shop.example"
	r.Header.Set("User-Agent", "curl")
	do(t, p, r)
	do(t, p, request("DELETE", "/", nil))
	heads, _ := s.seen()
	if !strings.HasPrefix(heads[0], "POST /base%20x/a%2Fb HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl\r\nContent-Length: 0\r\n") {
		t.Errorf("sent %q", heads[0])
	}
	if !strings.HasPrefix(heads[1], "DELETE /base%20x/ HTTP/1.1\r\n") || strings.Contains(heads[1], "Transfer-Encoding") || strings.Contains(heads[1], "User-Agent") {
		t.Errorf("sent %q", heads[1])
	}
}

func TestOptionsStar(t *testing.T) {
	s := answering(t, "HTTP/1.1 204 No Content\r\n\r\n")
	p := newPool(t, to(s.url))
	r := request("OPTIONS", "*", nil)
	do(t, p, r)
	if heads, _ := s.seen(); !strings.HasPrefix(heads[0], "OPTIONS * HTTP/1.1\r\n") {
		t.Errorf("sent %q", heads[0])
	}
}

func TestTrailersBothWays(t *testing.T) {
	got := make(chan http.Header, 1)
	s := origin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.Copy(w, r.Body)
		got <- r.Trailer
		w.Header().Set("X-Sum", "down")
	})
	p := newPool(t, to(s.URL))
	r := request("POST", "/", io.MultiReader(strings.NewReader("body")))
	r.ContentLength = -1
	r.Trailer = http.Header{"X-Up": nil, "Content-Length": nil, "X-Forwarded-For": nil, "Authorization": nil}
	r.Body = io.NopCloser(&atEnd{strings.NewReader("body"), func() {
		r.Trailer["X-Up"] = []string{"up"}
		r.Trailer["X-Forwarded-For"] = []string{"1.2.3.4"}
		r.Trailer["X-Unannounced"] = []string{"no"}
	}})
	resp, body := do(t, p, r)
	up := <-got
	if len(up) != 1 || up.Get("X-Up") != "up" {
		t.Errorf("the target got trailers %v", up)
	}
	if body != "body" || resp.Trailer.Get("X-Sum") != "down" {
		t.Errorf("body %q, trailers %v", body, resp.Trailer)
	}
}

// atEnd calls f before it reports the end.
type atEnd struct {
	io.Reader
	f func()
}

func (a *atEnd) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if err == io.EOF {
		a.f()
	}
	return n, err
}

func TestStreamsBothWays(t *testing.T) {
	s := origin(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		rc.EnableFullDuplex()
		br := bufio.NewReader(r.Body)
		rc.Flush()
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			io.WriteString(w, "echo "+line)
			rc.Flush()
		}
	})
	p := newPool(t, to(s.URL))
	pr, pw := io.Pipe()
	r := request("POST", "/", pr)
	r.ContentLength = -1
	r.Header.Set("Content-Type", "application/grpc") // its client may wait for the server
	resp, err := p.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	br := bufio.NewReader(resp.Body)
	for i := range 3 {
		fmt.Fprintf(pw, "%d\n", i)
		if line, err := br.ReadString('\n'); line != fmt.Sprintf("echo %d\n", i) {
			t.Fatalf("line %d: %q, %v", i, line, err)
		}
	}
	pw.Close()
	if _, err := br.ReadByte(); err != io.EOF {
		t.Fatalf("end: %v", err)
	}
}

func TestExpectContinueIsPassedOn(t *testing.T) {
	s := serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
		if head, ok := s.head(br); !ok || !strings.Contains(head, "Expect: 100-continue\r\n") {
			return
		}
		io.WriteString(c, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	p := newPool(t, to(s.url))
	read := false
	r := request("PUT", "/", nil)
	r.Body, r.ContentLength = io.NopCloser(readerFunc(func([]byte) (int, error) { read = true; return 0, io.EOF })), 4
	r.Header.Set("Expect", "100-continue")
	resp, _ := do(t, p, r)
	if resp.StatusCode != 417 || read {
		t.Errorf("status %d, body read: %v", resp.StatusCode, read)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestInterimResponses(t *testing.T) {
	s := answering(t, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x\r\nX: 1\r\n\r\n"+
		"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
	p := newPool(t, to(s.url))
	var got []string
	r := request("GET", "/", nil)
	r = r.WithContext(WithInterim(r.Context(), func(status int, h http.Header) { got = append(got, fmt.Sprint(status, h)) }))
	do(t, p, r)
	if want := "[103 map[Link:[</a.css>; rel=preload]] 102 map[]]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	do(t, p, request("GET", "/", nil)) // and nobody has to listen
}

func TestHeadAndNoContent(t *testing.T) {
	s := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: X-Hop, Cache-Control\r\nX-Hop: 1\r\nCache-Control: no-store\r\nKeep-Alive: timeout=5\r\n\r\n")
	p := newPool(t, to(s.url))
	resp, body := do(t, p, request("HEAD", "/", nil))
	if body != "" || resp.ContentLength != 500 || resp.Header.Get("X-Hop") != "" || resp.Header.Get("Keep-Alive") != "" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", resp.ContentLength, resp.Header)
	}
	if p.InFlight() != 0 {
		t.Error("a response without a body is still in flight")
	}
	do(t, p, request("HEAD", "/", nil))
	if _, conns := s.seen(); conns != 1 {
		t.Errorf("%d connections for two requests", conns)
	}
}

func TestUpgrade(t *testing.T) {
	s := serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
		s.head(br)
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nX-A: 1\r\n\r\nfirst")
		io.Copy(c, br)
		io.WriteString(c, "last")
	})
	c := to(s.url)
	c.Timeouts.Total, c.Timeouts.Idle = 50*time.Millisecond, 50*time.Millisecond
	c.Limits = Limits{Max: 1}
	p := newPool(t, c)
	r := request("GET", "/chat", nil)
	hop.AskUpgrade(r.Header, "websocket")
	ctx, cancel := context.WithCancel(context.Background())
	resp, err := p.RoundTrip(r.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "WebSocket" || resp.Header.Get("Connection") != "Upgrade" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	// An upgraded connection outlives its request, the bounds of an exchange, and the pool.
	cancel()
	p.Close()
	time.Sleep(120 * time.Millisecond)
	rw := resp.Body.(io.ReadWriteCloser)
	io.WriteString(rw, " echo ")
	if err := resp.Body.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Error(err)
	}
	all, err := io.ReadAll(rw)
	if string(all) != "first echo last" || err != nil {
		t.Errorf("read %q, %v", all, err)
	}
	if p.InFlight() != 1 {
		t.Error("an upgraded connection does not count")
	}
	rw.Close()
	if p.InFlight() != 0 {
		t.Error("a closed connection still counts")
	}
	if heads, _ := s.seen(); !strings.Contains(heads[0], "Connection: Upgrade\r\n") || !strings.Contains(heads[0], "Upgrade: websocket\r\n") {
		t.Errorf("sent %q", heads[0])
	}
}

func TestPoolExhausted(t *testing.T) {
	hold := make(chan struct{})
	open := sync.OnceFunc(func() { close(hold) })
	t.Cleanup(open) // also if the test fails: the origin waits for its handlers
	s := origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			w.(http.Flusher).Flush()
			<-hold
		}
	})
	c := to(s.URL)
	c.Limits = Limits{Max: 1, Wait: 300 * time.Millisecond}
	p := newPool(t, c)
	held, err := p.RoundTrip(request("GET", "/hold", nil))
	if err != nil {
		t.Fatal(err)
	}
	go func() { io.Copy(io.Discard, held.Body); held.Body.Close() }()
	eventually(t, "the answer is being read", func() bool { return isRead(p) }) // otherwise the call leaves its place
	r, ev := withEvent(request("GET", "/", nil))
	started := time.Now()
	if k := kindOf(t, p, r); k != fault.PoolExhausted || k.Status() != 503 || ev.ProxyStatus != "connection_limit_reached" {
		t.Errorf("kind %v, event %+v", k, ev)
	}
	if waited := time.Since(started); waited < 300*time.Millisecond || waited > 10*time.Second {
		t.Errorf("waited %v", waited)
	}
	// A caller that goes away while it waits gets its own error.
	ctx, cancel := cancelled(context.Background(), 5*time.Millisecond)
	defer cancel()
	if _, err := p.RoundTrip(request("GET", "/", nil).WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// A connection that becomes free in time is used.
	time.AfterFunc(10*time.Millisecond, open)
	do(t, p, request("GET", "/", nil))
	eventually(t, "an empty pool", func() bool { return p.InFlight() == 0 })
}

// isRead reports whether the client of the only call to p's only target waits for the origin, and not the origin for the client.
func isRead(p *Pool) bool {
	counted, waiting := p.targets[0].slots.Busy()
	return counted == 1 && waiting == 0
}

func TestWithoutWaitRefusesAtOnce(t *testing.T) {
	s := origin(t, func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 1<<20)) })
	c := to(s.URL)
	c.Limits = Limits{Max: 1}
	p := newPool(t, c)
	resp, err := p.RoundTrip(request("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	if k := kindOf(t, p, request("GET", "/", nil)); k != fault.PoolExhausted {
		t.Errorf("kind %v", k)
	}
	resp.Body.Close() // unread: the slot is free even so
	do(t, p, request("GET", "/", nil))
}

func TestMaxConnections(t *testing.T) {
	s := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	c := to(s.url)
	c.Limits = Limits{Max: 3, Wait: 5 * time.Second}
	p := newPool(t, c)
	done := make(chan error, 60)
	for range 60 {
		go func() {
			resp, err := p.RoundTrip(request("GET", "/", nil))
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			done <- err
		}()
	}
	for range 60 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if _, conns := s.seen(); conns > 3 {
		t.Errorf("%d connections, want 3 at most", conns)
	}
}

func TestRoundRobinOverTargets(t *testing.T) {
	a := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
	b := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb")
	c := Config{Targets: []Target{{URL: a.url, Weight: 2}, {URL: b.url}}, Balance: BalanceRoundRobin}
	p := newPool(t, c)
	var got string
	for range 6 {
		_, body := do(t, p, request("GET", "/", nil))
		got += body
	}
	if got != "abaaba" {
		t.Errorf("answered by %s, want abaaba", got)
	}
}

func TestHashKeepsToATarget(t *testing.T) {
	a := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
	b := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb")
	c := to(a.url, b.url)
	c.Balance, c.HashOn = BalanceHash, "header:X-User"
	p := newPool(t, c)
	for user := range 8 {
		first := ""
		for range 3 {
			r := request("GET", "/", nil)
			r.Header.Set("X-User", fmt.Sprint(user))
			_, body := do(t, p, r)
			if first == "" {
				first = body
			}
			if body != first {
				t.Errorf("user %d was answered by %s and %s", user, first, body)
			}
		}
	}
	seen := map[string]bool{}
	for range 40 { // without the field there is nothing to keep to
		_, body := do(t, p, request("GET", "/", nil))
		seen[body] = true
	}
	if len(seen) != 2 {
		t.Error("requests without the hashed field all went to one target")
	}
}

func TestCancellationIsTheCallers(t *testing.T) {
	s := serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
		s.head(br)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
		io.Copy(io.Discard, br)
	})
	p := newPool(t, to(s.url))
	cause := errors.New("the client went away")
	ctx, cancel := context.WithCancelCause(context.Background())
	resp, err := p.RoundTrip(request("GET", "/", nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	buf := make([]byte, 4)
	io.ReadFull(resp.Body, buf)
	cancel(cause)
	if _, err := resp.Body.Read(buf); err != cause {
		t.Errorf("body: %v, want the cause", err)
	}
	if _, err := p.RoundTrip(request("GET", "/", nil).WithContext(ctx)); err != cause {
		t.Errorf("RoundTrip: %v, want the cause", err)
	}
	eventually(t, "an empty pool", func() bool { return p.InFlight() == 0 })
}

func TestRequestBodyFailureIsTheClients(t *testing.T) {
	s := origin(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	p := newPool(t, to(s.URL))
	f := func(want fault.Kind, status int, err error) {
		t.Helper()
		r := request("POST", "/", io.MultiReader(bytes.NewReader(make([]byte, 100)), readerFunc(func([]byte) (int, error) { return 0, err })))
		r.ContentLength = -1
		if k := kindOf(t, p, r); k != want || k.Status() != status {
			t.Errorf("%v: kind %v, status %d", err, k, k.Status())
		}
	}
	f(fault.RequestBody, 400, errors.New("the client went away"))
	f(fault.RequestTooLarge, 413, &http.MaxBytesError{Limit: 99})
	eventually(t, "an empty pool", func() bool { return p.InFlight() == 0 })
}

func TestCloseLetsExchangesEnd(t *testing.T) {
	release := make(chan struct{})
	s := origin(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first ")
		w.(http.Flusher).Flush()
		<-release
		io.WriteString(w, "last")
	})
	p := newPool(t, to(s.URL))
	resp, err := p.RoundTrip(request("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	p.Close()
	close(release)
	all, err := io.ReadAll(resp.Body)
	if string(all) != "first last" || err != nil {
		t.Errorf("%q, %v", all, err)
	}
	// A request that began with the old snapshot is served, and leaves no connection behind.
	do(t, p, request("GET", "/", nil))
	eventually(t, "no open connection", func() bool { return p.targets[0].endpoint.Open.Load() == 0 })
}
