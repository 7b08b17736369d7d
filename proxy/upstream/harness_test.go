package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/upstream/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newPool makes a pool with bounds short enough for tests.
func newPool(t *testing.T, c Config) *Pool {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func to(urls ...string) Config {
	c := Config{Name: "up", Timeouts: Timeouts{Connect: 2 * time.Second}}
	for _, u := range urls {
		c.Targets = append(c.Targets, Target{URL: u})
	}
	return c
}

// request is a client's request as the gateway hands it on.
func request(method, path string, body io.Reader) *http.Request {
	return httptest.NewRequest(method, path, body)
}

// do runs r and reads the whole response.
func do(t *testing.T, p *Pool, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := p.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: body: %v", r.Method, r.URL, err)
	}
	return resp, string(body)
}

// kindOf runs r, which has to fail before a response or in its body, and returns the kind of the failure.
func kindOf(t *testing.T, p *Pool, r *http.Request) fault.Kind {
	t.Helper()
	resp, err := p.RoundTrip(r)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	var own *fault.Error
	if !errors.As(err, &own) {
		t.Fatalf("%s %s: %v is no *Error", r.Method, r.URL, err)
	}
	return own.Kind
}

// withEvent gives r an Event.
func withEvent(r *http.Request) (*http.Request, *observe.Event) {
	ev := new(observe.Event)
	return r.WithContext(observe.NewContext(r.Context(), ev)), ev
}

// script is a server that speaks bytes.
type script struct {
	url   string
	mu    sync.Mutex
	heads []string // request heads received
	conns int
}

// serve starts a server that runs talk on each connection and closes it then.
func serve(t *testing.T, talk func(s *script, c net.Conn, br *bufio.Reader)) *script {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{url: "http://" + ln.Addr().String()}
	var open sync.WaitGroup
	var mu sync.Mutex
	live := map[net.Conn]bool{}
	open.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			live[c] = true
			mu.Unlock()
			s.mu.Lock()
			s.conns++
			s.mu.Unlock()
			open.Go(func() {
				defer c.Close()
				talk(s, c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range live {
			c.Close()
		}
		mu.Unlock()
		open.Wait()
	})
	return s
}

// head reads a request head, and fails the connection when there is none.
func (s *script) head(br *bufio.Reader) (string, bool) {
	var b strings.Builder
	for {
		line, err := br.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			return b.String(), false
		}
		if line == "\r\n" {
			s.mu.Lock()
			s.heads = append(s.heads, b.String())
			s.mu.Unlock()
			return b.String(), true
		}
	}
}

func (s *script) seen() (heads []string, conns int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.heads...), s.conns
}

// answering is a server that gives each request, one after another, the same bytes.
func answering(t *testing.T, bytes string) *script {
	return serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
		for {
			if _, ok := s.head(br); !ok {
				return
			}
			if _, err := io.WriteString(c, bytes); err != nil {
				return
			}
		}
	})
}

// once is a server that answers the first request of a connection and closes it.
func once(t *testing.T, bytes string) *script {
	return serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
		if _, ok := s.head(br); ok {
			io.WriteString(c, bytes)
		}
	})
}

// origin is a good server.
func origin(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func benchOrigin(b *testing.B, h http.HandlerFunc) string {
	b.Helper()
	s := httptest.NewServer(h)
	b.Cleanup(s.Close)
	return s.URL
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 400 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s did not happen in 2 s", what)
}

func cancelled(parent context.Context, after time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	timer := time.AfterFunc(after, cancel)
	return ctx, func() { timer.Stop(); cancel() }
}
