package upstream

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/upstream/link"
	"github.com/penstock/penstock/proxy/upstream/send"
)

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

// hastyServer answers every head with its path and takes no notice of bodies.
type hastyServer struct {
	*script
	answered sync.Map // the paths of the POSTs that are answered
	over     sync.Map // of these, the ones after which it has answered to the body too, or the connection has ended
}

// hasty starts a hastyServer. lead comes before each answer to a POST, and answer, if it is set, makes the answer to a path.
func hasty(t *testing.T, lead string, answer func(path string) string) *hastyServer {
	if answer == nil {
		answer = func(path string) string {
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path)
		}
	}
	h := &hastyServer{}
	h.script = serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
		last := "" // POST of the connection
		end := func() { h.over.Store(last, true) }
		defer func() { end() }()
		for {
			head, ok := s.head(br)
			if !ok {
				return
			}
			_, path, found := strings.Cut(head, " ")
			if !found {
				continue // the end of a chunked body
			}
			path, _, _ = strings.Cut(path, " ")
			before := ""
			if strings.HasPrefix(head, "POST") && path != "/smuggled" {
				before = lead
			}
			if _, err := io.WriteString(c, before+answer(path)); err != nil {
				return
			}
			switch {
			case path == "/smuggled":
				end()
			case strings.HasPrefix(head, "POST"):
				last = path
				h.answered.Store(path, true)
			}
		}
	})
	return h
}

// holds waits until m has path, at most 10 s: without it the test fails anyway.
func holds(m *sync.Map, path string) {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Microsecond) {
		if _, ok := m.Load(path); ok {
			return
		}
	}
}

// late is a body that says when it is asked for. After the first bytes it waits for the rest.
type late struct {
	*strings.Reader
	wait   func() // nil: it does not wait
	asked  atomic.Bool
	closed atomic.Bool
}

func (l *late) Read(p []byte) (int, error) {
	if l.asked.Swap(true) && l.wait != nil {
		l.wait()
	}
	return l.Reader.Read(p)
}

func (l *late) Close() error { l.closed.Store(true); return nil }

func post(body io.Reader, size int64) *http.Request {
	r := request("POST", "/post", body)
	r.ContentLength = size
	return r
}

// The bytes of a body that are sent after its answer are not answered to another client, whatever the answer looks like. The same holds for a
// body that is sent at once, if the answer to it arrives before the next request is sent.
func TestF7AnswerBeforeTheBody(t *testing.T) {
	chunked := func(path string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(path), path)
	}
	empty := func(path string) string {
		return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Path: " + path + "\r\n\r\n"
	}
	bodies := map[string]struct {
		text  string
		sized bool
		late  bool // the end of the body is sent after the answer
	}{
		"at once": {smuggled, true, false}, "late": {strings.Repeat(smuggled, 2000), true, true},
		"at once, without a size": {smuggled, false, false}, "late, without a size": {smuggled, false, true},
	}
	for name, answer := range map[string]func(string) string{"length": nil, "chunked": chunked, "empty": empty} {
		for kind, b := range bodies {
			t.Run(name+", "+kind, func(t *testing.T) {
				h := hasty(t, "", answer)
				c := to(h.url)
				c.Limits.Max = 2
				size := int64(-1)
				if b.sized {
					size = int64(len(b.text))
				}
				repeat(t, newPool(t, c), h, 35, b.text, size, b.late)
			})
		}
	}
}

// The same if an interim response comes first, alone or in one packet with the final one.
func TestF7AnswerWithAnInterimOne(t *testing.T) {
	for _, lead := range []string{"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"} {
		h := hasty(t, lead, nil)
		repeat(t, newPool(t, to(h.url)), h, 35, smuggled, -1, true)
	}
}

// repeat posts n times, and sends another request after each, with methods that can be repeated and others.
func repeat(t *testing.T, p *Pool, h *hastyServer, n int, text string, size int64, wait bool) {
	t.Helper()
	for i := range n {
		path := fmt.Sprint("/post", i)
		body := &late{Reader: strings.NewReader(text)}
		if wait {
			body.wait = func() { holds(&h.answered, path) }
		}
		r := request("POST", path, body)
		r.ContentLength = size
		expect(t, p, r)
		if !wait {
			holds(&h.over, path)
		}
		expect(t, p, request([]string{"GET", "DELETE", "POST"}[i%3], fmt.Sprint("/mine", i), nil))
	}
}

// expect sends a request and checks that the answer is that to its path.
func expect(t *testing.T, p *Pool, r *http.Request) {
	t.Helper()
	path := r.URL.Path
	resp, got := do(t, p, r)
	if got != path && resp.Header.Get("X-Path") != path {
		t.Fatalf("%s %s got %q %v", r.Method, path, got, resp.Header)
	}
}

// The answer arrives before the end of the body is sent, but the gateway reads it later, because it is busy with an interim response.
func TestF7AnswerIsReadLate(t *testing.T) {
	entered, answered, received := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s := serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
		for {
			head, ok := s.head(br)
			if !ok {
				return
			}
			_, path, found := strings.Cut(head, " ")
			if !found {
				continue // the end of a chunked body
			}
			path, _, _ = strings.Cut(path, " ")
			if path == "/post" {
				_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n") // the test fails without it
				<-entered
			} else if path == "/smuggled" {
				<-received
			}
			if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path); err != nil {
				return
			}
			if path == "/post" {
				close(answered)
			}
		}
	})
	p := newPool(t, to(s.url))
	body := &late{Reader: strings.NewReader(smuggled), wait: func() { <-answered }}
	r := post(body, -1)
	expect(t, p, r.WithContext(send.WithInterim(r.Context(), func(int, http.Header) {
		close(entered)
		eventually(t, "the body is sent", body.closed.Load)
	})))
	close(received)
	if all, _ := p.targets[0].idle.Count(); all != 0 {
		t.Error("the connection is kept, although the end of the body was sent after the answer had arrived")
	}
	expect(t, p, request("GET", "/mine", nil))
}

// Who answers instead of asking for the body does not get it.
func TestF7FinalAnswerInsteadOfContinue(t *testing.T) {
	s := hasty(t, "", nil)
	p := newPool(t, to(s.url))
	for i := range 20 {
		body := &late{Reader: strings.NewReader(smuggled)}
		r := post(body, int64(len(smuggled)))
		r.Header.Set("Expect", "100-continue")
		if _, got := do(t, p, r); got != "/post" {
			t.Fatalf("got %q", got)
		}
		path := fmt.Sprint("/mine", i)
		if _, got := do(t, p, request("GET", path, nil)); got != path {
			t.Fatalf("%s got %q", path, got)
		}
		eventually(t, "the body is closed", body.closed.Load)
		if body.asked.Load() {
			t.Fatal("the body was read")
		}
	}
	heads, _ := s.seen()
	for _, head := range heads {
		if strings.Contains(head, "smuggled") {
			t.Fatalf("sent %q", head)
		}
	}
}

// Targets that read bodies keep their connections.
func TestPostsShareAConnection(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusTeapot)
		}
		w.Write(body)
	}
	f := func(name string, secure, chunked, expect bool, size int) {
		t.Run(name, func(t *testing.T) {
			var conns atomic.Int64
			s := httptest.NewUnstartedServer(http.HandlerFunc(echo))
			s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					conns.Add(1)
				}
			}
			start := s.Start
			if secure {
				start = s.StartTLS
			}
			start()
			t.Cleanup(s.Close)
			c := to(s.URL)
			if secure {
				c.TLS.InsecureSkipVerify, c.Protocol = true, ProtocolH1
			}
			p := newPool(t, c)
			want := strings.Repeat("x", size)
			for range 50 {
				r := post(strings.NewReader(want), int64(size))
				if chunked {
					r.ContentLength = -1
				}
				if expect {
					r.Header.Set("Expect", "100-continue")
				}
				if resp, got := do(t, p, r); resp.StatusCode != 200 || got != want {
					t.Fatalf("%d, %d bytes", resp.StatusCode, len(got))
				}
			}
			if n := conns.Load(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
	f("small", false, false, false, 10)
	f("chunked", false, true, false, 10)
	f("large", false, false, false, 100_000)
	f("expect", false, false, true, 10)
	f("tls", true, false, false, 10)
	f("tls chunked", true, true, false, 100_000)
	f("tls expect", true, true, true, 10)
}

// An early answer arrives whole, while the client still sends.
func TestEarlyAnswerArrives(t *testing.T) {
	const why = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 100000\r\n\r\n"
	s := serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
		s.head(br)
		io.WriteString(c, why)
		for range 10 {
			io.CopyN(io.Discard, br, 20_000)
			io.WriteString(c, strings.Repeat("x", 10_000))
		}
		io.Copy(io.Discard, br)
	})
	p := newPool(t, to(s.url))
	for range 5 {
		read, write := io.Pipe()
		var sent atomic.Int64
		go func() {
			for piece := make([]byte, 10_000); ; sent.Add(1) {
				if _, err := write.Write(piece); err != nil {
					return
				}
			}
		}()
		resp, body := do(t, p, post(read, -1))
		if resp.StatusCode != 413 || len(body) != 100_000 || sent.Load() < 20 {
			t.Errorf("%d with %d bytes after %d pieces", resp.StatusCode, len(body), sent.Load())
		}
		read.Close()
	}
	eventually(t, "no open connection", func() bool { return p.targets[0].endpoint.Open.Load() == 0 })
}

// An answer may go along with its request, to the end of both.
func TestDuplex(t *testing.T) {
	s := origin(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		rc.EnableFullDuplex()
		rc.Flush()
		piece := make([]byte, 10)
		for {
			n, err := r.Body.Read(piece)
			w.Write(piece[:n])
			rc.Flush()
			if err != nil {
				return
			}
		}
	})
	p := newPool(t, to(s.URL))
	read, write := io.Pipe()
	r := post(read, -1)
	r.Header.Set("Content-Type", "application/grpc")
	resp, err := p.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	piece := make([]byte, 4)
	for range 10 {
		io.WriteString(write, "ping")
		if _, err := io.ReadFull(resp.Body, piece); err != nil || string(piece) != "ping" {
			t.Fatalf("%q, %v", piece, err)
		}
	}
	write.Close()
	if rest, err := io.ReadAll(resp.Body); len(rest) != 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

// A connection that takes no request fails none, not even one that can't be repeated.
func TestRefusedByItsConnection(t *testing.T) {
	s := origin(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	p := newPool(t, to(s.URL))
	var last *link.Conn
	p.dial = func(ctx context.Context, tg *target) (c *link.Conn, err error) {
		last, err = dialPlain(ctx, tg)
		return last, err
	}
	spoil := func(c *link.Conn) { c.Conn.(*net.TCPConn).CloseRead() } // as if the target had closed it
	do(t, p, post(strings.NewReader("x"), 1))
	for range 20 {
		before := last
		spoil(before)
		body := &late{Reader: strings.NewReader("mine")}
		r, ev := withEvent(post(body, 4))
		if _, got := do(t, p, r); got != "mine" {
			t.Fatalf("got %q", got)
		}
		if last == before || ev.Tries != 2 || !body.closed.Load() {
			t.Errorf("%d tries, body closed: %v", ev.Tries, body.closed.Load())
		}
		before = last
		spoil(before)
		if do(t, p, request("GET", "/", nil)); last == before {
			t.Error("the same connection")
		}
	}
	if n := p.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// The same over TLS, where it is net/http that offers the connection.
func TestRefusedByItsConnectionOverTLS(t *testing.T) {
	s, ca := tlsServer(t, false, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	c := to(s.URL)
	c.TLS.CA, c.Protocol = ca, ProtocolH1
	p := newPool(t, c)
	var last *link.Conn
	p.std.Main.DialTLSContext = func(ctx context.Context, _, address string) (net.Conn, error) {
		nc, err := p.std.Dial(ctx, "https", address, true)
		if err == nil {
			last = link.HTTP1(nc)
		}
		return nc, err
	}
	do(t, p, post(strings.NewReader("x"), 1))
	for range 20 {
		before := last
		before.Overlap.Forbid()
		body := &late{Reader: strings.NewReader("mine")}
		r, ev := withEvent(post(body, 4))
		if _, got := do(t, p, r); got != "mine" {
			t.Fatalf("got %q", got)
		}
		if last == before || ev.Tries != 2 || !body.closed.Load() {
			t.Errorf("%d tries, body closed: %v", ev.Tries, body.closed.Load())
		}
		before = last
		before.Overlap.Forbid()
		if do(t, p, request("GET", "/", nil)); last == before {
			t.Error("the same connection")
		}
	}
	if n := p.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// What comes on an idle connection is dropped with it, and nothing of it gets into a log that is not the gateway's.
func TestUnsolicitedOnAnIdleConnection(t *testing.T) {
	var logged bytes.Buffer
	before := log.Writer()
	log.SetOutput(&logged)
	t.Cleanup(func() { log.SetOutput(before) })
	speak := make(chan struct{})
	s := serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
		s.head(br)
		io.WriteString(c, okResponse)
		<-speak
		io.WriteString(c, okResponse)
		io.Copy(io.Discard, br)
	})
	p := newPool(t, to(s.url))
	do(t, p, request("GET", "/", nil))
	close(speak)
	eventually(t, "the connection is closed", func() bool { return p.targets[0].endpoint.Open.Load() == 0 })
	p.Close()
	if logged.Len() != 0 {
		t.Errorf("logged %q", logged.String())
	}
}
