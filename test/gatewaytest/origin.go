package gatewaytest

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// Origin is an HTTP origin that counts what it is asked.
type Origin struct {
	*httptest.Server
	handler atomic.Pointer[http.HandlerFunc]
	calls   atomic.Int64
	mu      sync.Mutex
	seen    []*http.Request
}

// NewOrigin starts an origin that answers with h. It ends with the test.
func NewOrigin(t testing.TB, h http.HandlerFunc) *Origin {
	o := &Origin{}
	o.Answer(h)
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.calls.Add(1)
		o.mu.Lock()
		o.seen = append(o.seen, r.Clone(r.Context()))
		o.mu.Unlock()
		w.Header()["Date"] = nil // the origin has no clock: the time is the gateway's to say
		(*o.handler.Load())(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

// Answer makes the origin answer with h from now on.
func (o *Origin) Answer(h http.HandlerFunc) { o.handler.Store(&h) }

// Calls is how many requests have come.
func (o *Origin) Calls() int { return int(o.calls.Load()) }

// Seen is the nth request, from 0, or from -1 backwards.
func (o *Origin) Seen(n int) *http.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n < 0 {
		n += len(o.seen)
	}
	return o.seen[n]
}

// Text is a handler that answers 200 with the given content and header lines, which are given as names and values in turn.
func Text(content string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		if w.Header().Get("Content-Type") == "" {
			w.Header().Set("Content-Type", "text/plain")
		}
		_, _ = w.Write([]byte(content)) // the client's going is not the origin's concern
	}
}

// Status is a handler that answers with an empty response of the given status.
func Status(code int, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		w.WriteHeader(code)
	}
}

// Gate holds whoever waits at it until it is opened.
type Gate struct {
	open chan struct{}
	once sync.Once
	came chan struct{}
}

// NewGate returns a closed gate, which opens at the end of the test at the latest.
func NewGate(t testing.TB) *Gate {
	g := &Gate{open: make(chan struct{}), came: make(chan struct{}, 1<<16)}
	t.Cleanup(g.Open)
	return g
}

// Wait waits until the gate is open, or longer than any test lasts that goes well.
func (g *Gate) Wait() {
	g.came <- struct{}{}
	select {
	case <-g.open:
	case <-time.After(patience):
	}
}

// Open lets all pass, now and later.
func (g *Gate) Open() { g.once.Do(func() { close(g.open) }) }

// Came waits until one more has come to the gate.
func (g *Gate) Came(t testing.TB) {
	t.Helper()
	select {
	case <-g.came:
	case <-time.After(patience):
		t.Fatal("nobody came to the gate")
	}
}

// Eventually waits until ok holds, which must come about without the test's doing.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it did not come about that %s", what)
		}
	}
}
