package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// roundTrip is an origin without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// bench is a Cache on a bench: everything around it is the test's.
type bench struct {
	*Cache
	res    *Resource
	now    atomic.Int64
	chance atomic.Pointer[float64]
}

func newBench(t *testing.T, origin roundTrip) *bench {
	t.Helper()
	b := &bench{}
	b.advance(1_800_000_000 * time.Second)
	now := func() time.Time { return time.Unix(0, b.now.Load()) }
	memory, err := store.NewMemory(store.MemoryConfig{Size: 64 << 20, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	none := 0.0
	b.chance.Store(&none)
	b.Cache = New(Config{
		Store: memory, Now: now, Random: func() float64 { return *b.chance.Load() }, Log: slog.New(slog.DiscardHandler), Name: "bench",
		WriteError: func(w http.ResponseWriter, r *http.Request, status int, kind, detail string) { w.WriteHeader(status) },
	})
	b.res = &Resource{
		Route: fill.Route{
			Policy: entry.Policy{Rules: &cachepolicy.Rules{Route: "r", Enabled: true, EarlyBeta: 1}, Tiers: entry.Tiers{Memory: true}, MaxVariants: 8, MaxObject: 1 << 20},
			Origin: origin, Coalesce: fill.Coalesce{Enabled: true, MaxWaiters: 1000, Wait: 10 * time.Second},
		},
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
		memory.Close()
	})
	return b
}

func (b *bench) advance(d time.Duration) { b.now.Add(int64(d)) }

// get asks for path with a writer and an Event of its own.
func (b *bench) get(path string, fields ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	ev := &observe.Event{Scheme: "http"}
	func() {
		defer func() { _ = recover() }() // http.ErrAbortHandler
		b.Handler(b.res).ServeHTTP(w, r.WithContext(observe.NewContext(r.Context(), ev)))
	}()
	return w
}

func text(body string, fields ...string) *http.Response {
	h := http.Header{"Content-Type": {"text/plain"}}
	for i := 0; i+1 < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	return &http.Response{StatusCode: 200, Header: h, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}
}

func (b *bench) awaitWaiting(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); b.Waiting() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d requests wait, want %d", b.Waiting(), n)
		}
	}
}

// herd has n requests wait for one flight, then lets its leader go on, and returns how often each
// status came.
func (b *bench) herd(t *testing.T, n int, release func()) map[int]int {
	t.Helper()
	var mu sync.Mutex
	got := map[int]int{}
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			code := b.get("/").Code
			mu.Lock()
			defer mu.Unlock()
			got[code]++
		})
	}
	b.awaitWaiting(t, n-1)
	release()
	all.Wait()
	return got
}

func TestPanicOfALeader(t *testing.T) {
	for panics, wanted := range map[int64]map[int]int{1: {502: 1, 200: 19}, 1000: {502: 20}} {
		var calls atomic.Int64
		gate := make(chan struct{})
		b := newBench(t, func(*http.Request) (*http.Response, error) {
			<-gate
			if calls.Add(1) <= panics {
				panic("a defect")
			}
			return text("x", "Cache-Control", "max-age=60"), nil
		})
		got := b.herd(t, 20, func() { close(gate) })
		if fmt.Sprint(got) != fmt.Sprint(wanted) || calls.Load() > 20 || panics == 1 && calls.Load() != 2 {
			t.Errorf("%d panics: statuses %v, want %v; %d calls", panics, got, wanted, calls.Load())
		}
	}
}

// breaking is a body that panics after its first bytes.
type breaking struct{ read bool }

func (b *breaking) Read(p []byte) (int, error) {
	if b.read {
		panic("a defect")
	}
	b.read = true
	return copy(p, "first"), nil
}

func (b *breaking) Close() error { return nil }

func TestPanicWithinABody(t *testing.T) {
	b := newBench(t, func(*http.Request) (*http.Response, error) {
		resp := text("", "Cache-Control", "max-age=60")
		resp.Body, resp.ContentLength = &breaking{}, -1
		return resp, nil
	})
	for range 2 {
		if w := b.get("/"); strings.Contains(w.Header().Get("Cache-Status"), "hit") {
			t.Errorf("%v", w.Header())
		}
	}
	if b.Flights() != 0 {
		t.Errorf("%d flights are left", b.Flights())
	}
}

func TestEarlyRefresh(t *testing.T) {
	var calls atomic.Int64
	var b *bench
	b = newBench(t, func(*http.Request) (*http.Response, error) {
		b.advance(2 * time.Second) // what the origin takes
		return text(fmt.Sprint(calls.Add(1)), "Cache-Control", "max-age=60"), nil
	})
	b.get("/")
	likely := 1e-9
	b.chance.Store(&likely)
	b.advance(10 * time.Second)
	if w := b.get("/"); w.Body.String() != "1" || strings.Contains(w.Header().Get("Cache-Status"), "early") {
		t.Errorf("long before the end: %v", w.Header())
	}
	b.advance(30 * time.Second)
	if w := b.get("/"); w.Body.String() != "1" || !strings.Contains(w.Header().Get("Cache-Status"), "hit; ttl=18; detail=early-refresh") {
		t.Errorf("near the end: %q %v", w.Body, w.Header())
	}
	for end := time.Now().Add(10 * time.Second); b.get("/").Body.String() != "2"; {
		if time.Now().After(end) {
			t.Fatal("it was not refreshed")
		}
	}
}

// TestRefreshThatComesLate: who looked before another's refresh had ended, and wants to begin one
// after it, does not ask the origin again.
func TestRefreshThatComesLate(t *testing.T) {
	var calls atomic.Int64
	b := newBench(t, func(*http.Request) (*http.Response, error) {
		return text(fmt.Sprint(calls.Add(1)), "Cache-Control", "max-age=60"), nil
	})
	b.get("/")
	r := httptest.NewRequest("GET", "/", nil)
	x, err := newRequest(b.res, r, &observe.Event{Scheme: "http"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.plan(&x.plan, &x.located, &x.budget, b.moment(x))
	b.advance(61 * time.Second)
	if w := b.get("/"); w.Body.String() != "2" {
		t.Fatalf("got %q", w.Body)
	}
	b.refresh(x)
	for end := time.Now().Add(10 * time.Second); b.Flights() > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("the origin was asked %d times, want 2", n)
	}
}

// slowStore takes its time to store.
type slowStore struct{ store.Store }

func (s slowStore) Put(ctx context.Context, k cachepolicy.Key, e *store.Entry, maxVariants int) error {
	time.Sleep(20 * time.Millisecond)
	return s.Store.Put(ctx, k, e, maxVariants)
}

// TestWhoHasAllFindsItStored: a client that has its whole answer and asks again is answered from
// memory.
func TestWhoHasAllFindsItStored(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		size   int64 // that the origin says
		body   string
		fields []string
	}{
		{"content", 200, 4, "body", nil}, {"of unknown size", 200, -1, "body", nil}, {"empty", 200, 0, "", nil}, {"none", 204, 0, "", nil},
		{"none of unknown size", 204, -1, "", nil}, {"none, which is said to be coded", 204, 0, "", []string{"Content-Encoding", "gzip"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, func(*http.Request) (*http.Response, error) {
				resp := text(test.body, append([]string{"Cache-Control", "max-age=60"}, test.fields...)...)
				resp.StatusCode, resp.ContentLength = test.status, test.size
				return resp, nil
			})
			b.tiers.Store = slowStore{b.tiers.Store}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b.Handler(b.res).ServeHTTP(w, r.WithContext(observe.NewContext(r.Context(), &observe.Event{Scheme: "http"})))
			}))
			defer server.Close()
			for _, want := range []string{"fwd=uri-miss", "hit"} {
				r, _ := http.NewRequest(http.MethodGet, server.URL, nil)
				r.Header.Set("Accept-Encoding", "identity")
				resp, err := server.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				if status := resp.Header.Get("Cache-Status"); err != nil || string(got) != test.body || !strings.Contains(status, want) || strings.Contains(status, "collapsed") {
					t.Errorf("%q %s, %v; want %s", got, status, err, want)
				}
				resp.Body.Close()
			}
		})
	}
}

func TestFailureThatMayNotBeServedStaleToAll(t *testing.T) {
	gate := make(chan struct{})
	var down atomic.Bool
	b := newBench(t, func(*http.Request) (*http.Response, error) {
		if down.Load() {
			<-gate
			return nil, errors.New("no connection")
		}
		return text("old", "Cache-Control", "max-age=60, stale-if-error=10"), nil
	})
	b.get("/")
	down.Store(true)
	b.advance(80 * time.Second)
	replies := make(chan *httptest.ResponseRecorder, 2)
	go func() { replies <- b.get("/", "Cache-Control", "stale-if-error=100") }()
	for b.Flights() == 0 {
		time.Sleep(time.Millisecond)
	}
	plain := make(chan *httptest.ResponseRecorder, 1)
	go func() { plain <- b.get("/") }()
	b.awaitWaiting(t, 1)
	close(gate)
	if w := <-replies; w.Code != 200 {
		t.Errorf("who allows stale got %d", w.Code)
	}
	if w := <-plain; w.Code != 502 {
		t.Errorf("who does not allow it got %d %q", w.Code, w.Body)
	}
}
