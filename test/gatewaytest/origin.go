package gatewaytest

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience is how long a test waits for an expected event.
const patience = 10 * time.Second

// Origin is an HTTP origin that counts its requests.
type Origin struct {
	*httptest.Server
	handler atomic.Pointer[http.HandlerFunc]
	calls   atomic.Int64
	mu      sync.Mutex
	seen    []*http.Request
}

// NewOrigin starts an origin that answers with h. It stops when the test ends.
func NewOrigin(t testing.TB, h http.HandlerFunc) *Origin {
	o := &Origin{}
	o.Answer(h)
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.calls.Add(1)
		o.mu.Lock()
		o.seen = append(o.seen, r.Clone(r.Context()))
		o.mu.Unlock()
		w.Header()["Date"] = nil // the origin has no clock; the gateway determines the time
		(*o.handler.Load())(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

// Answer makes the origin answer with h from now on.
func (o *Origin) Answer(h http.HandlerFunc) { o.handler.Store(&h) }

// Calls returns the number of received requests.
func (o *Origin) Calls() int { return int(o.calls.Load()) }

// Seen returns the nth request, from 0, or from -1 backwards.
func (o *Origin) Seen(n int) *http.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n < 0 {
		n += len(o.seen)
	}
	return o.seen[n]
}

// Text returns a handler that answers 200 with the given content and with header fields, given as
// names and values in turn.
func Text(content string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		if w.Header().Get("Content-Type") == "" {
			w.Header().Set("Content-Type", "text/plain")
		}
		_, _ = w.Write([]byte(content)) // ignore the error of a client that is gone
	}
}

// Status returns a handler that answers with an empty response of the given status.
func Status(code int, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		w.WriteHeader(code)
	}
}

// Gate blocks the goroutines that wait at it until it is opened.
type Gate struct {
	open chan struct{}
	once sync.Once
	came chan struct{}
}

// NewGate returns a closed gate. It opens when the test ends, if not before.
func NewGate(t testing.TB) *Gate {
	g := &Gate{open: make(chan struct{}), came: make(chan struct{}, 1<<16)}
	t.Cleanup(g.Open)
	return g
}

// Wait waits until the gate is open, for at most the time of any successful test.
func (g *Gate) Wait() {
	g.came <- struct{}{}
	select {
	case <-g.open:
	case <-time.After(patience):
	}
}

// Open lets all goroutines pass, now and later.
func (g *Gate) Open() { g.once.Do(func() { close(g.open) }) }

// Came waits until one more goroutine has reached the gate.
func (g *Gate) Came(t testing.TB) {
	t.Helper()
	select {
	case <-g.came:
	case <-time.After(patience):
		t.Fatal("timed out waiting for a goroutine at the gate")
	}
}

// Eventually waits until ok returns true, while other goroutines run.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}
