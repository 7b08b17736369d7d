package cache_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// slowOrigin answers after a while, in whatever time the test runs.
type slowOrigin struct {
	takes   atomic.Int64 // nanoseconds
	status  atomic.Int64
	control string
	calls   atomic.Int64
}

// RoundTrip answers with the number of the call.
func (o *slowOrigin) RoundTrip(r *http.Request) (*http.Response, error) {
	n := o.calls.Add(1)
	select {
	case <-time.After(time.Duration(o.takes.Load())):
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
	if o.status.Load() == 0 {
		return nil, context.DeadlineExceeded
	}
	body := "call " + string(rune('0'+n))
	if r.Method == http.MethodHead {
		body = ""
	}
	return &http.Response{
		StatusCode: int(o.status.Load()), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: int64(len(body)),
		Header: http.Header{"Cache-Control": {o.control}, "Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

// fakeTime is a cache with one route in front of a slowOrigin, in a bubble of fake time.
type fakeTime struct {
	origin  *slowOrigin
	handler http.Handler
	fills   chan observe.Event
}

// told is an answer, and how long the client waited for it.
type told struct {
	*httptest.ResponseRecorder
	took time.Duration
	ev   *observe.Event
}

// inFakeTime runs a test with a stored response that has been stale for a second.
func inFakeTime(t *testing.T, control string, coalesce bool, test func(f *fakeTime)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		memory, err := store.NewMemory(store.MemoryConfig{Size: 8 << 20, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		f := &fakeTime{origin: &slowOrigin{control: control}, fills: make(chan observe.Event, 100)}
		c := cache.New(cache.Config{
			Store: memory, Now: time.Now, Random: func() float64 { return 0.5 }, Log: slog.New(slog.DiscardHandler), Name: "Penstock",
			WriteError: func(w http.ResponseWriter, _ *http.Request, status int, _, _ string) { w.WriteHeader(status) },
			Filled:     func(ev *observe.Event) { f.fills <- *ev },
		})
		f.handler = c.Handler(&cache.Resource{
			Route: fill.Route{
				Policy: entry.Policy{Rules: &cachepolicy.Rules{Route: "all", Enabled: true}, Tiers: entry.Tiers{Memory: true}, MaxVariants: 8, MaxObject: 1 << 20},
				Origin: f.origin, Coalesce: fill.Coalesce{Enabled: coalesce, MaxWaiters: 1000, Wait: 10 * time.Second},
			},
		})
		f.origin.status.Store(200)
		f.ask(http.MethodGet)
		synctest.Wait()
		<-f.fills
		time.Sleep(11 * time.Second)
		test(f)
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Errorf("closing: %v", err)
		}
		memory.Close()
	})
}

func (f *fakeTime) ask(method string, fields ...string) told {
	ev := &observe.Event{Start: time.Now(), Method: method, Scheme: "http", Host: "shop.example", Path: "/p"}
	r := httptest.NewRequest(method, "http://shop.example/p", nil)
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	began := time.Now()
	f.handler.ServeHTTP(w, r.WithContext(observe.NewContext(r.Context(), ev)))
	return told{w, time.Since(began), ev}
}

// together has n clients ask at the same time.
func (f *fakeTime) together(n int, method string, fields ...string) []told {
	answers := make([]told, n)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = f.ask(method, fields...) })
	}
	wg.Wait()
	return answers
}

// TestClientsOfAHangingOriginWaitOneSecond has several clients ask at once, of which one makes the
// call.
func TestClientsOfAHangingOriginWaitOneSecond(t *testing.T) {
	for _, tt := range []struct {
		name, method string
		coalesce     bool
		fields       []string
	}{
		{"GET", http.MethodGet, true, nil},
		{"GET, alone", http.MethodGet, false, nil},
		{"range", http.MethodGet, true, []string{"Range", "bytes=0-3"}},
		{"HEAD", http.MethodHead, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inFakeTime(t, "max-age=10, stale-if-error=600", tt.coalesce, func(f *fakeTime) {
				f.origin.takes.Store(int64(time.Minute)) // and then it answers nothing
				f.origin.status.Store(0)
				for _, a := range f.together(5, tt.method, tt.fields...) {
					if a.took != time.Second || a.Code >= 300 || tt.method == http.MethodGet && !strings.HasPrefix("call 1", a.Body.String()) {
						t.Errorf("after %v: %d %q", a.took, a.Code, a.Body)
					}
					if status := a.Header().Get("Cache-Status"); !strings.Contains(status, "ttl=-2; detail=origin-timeout") {
						t.Errorf("Cache-Status: %s", status)
					}
					if a.ev.Cache != observe.CacheStale || a.ev.Reason != "origin-timeout" || a.ev.Action != "serve-stale" {
						t.Errorf("the log has %s, %s, %s", a.ev.Cache, a.ev.Reason, a.ev.Action)
					}
				}
				if a := f.ask(tt.method, tt.fields...); a.took != 0 || a.Code >= 300 {
					t.Errorf("while the call takes long a client waits %v and gets %d", a.took, a.Code)
				}
			})
		})
	}
}

// TestTheCallGoesOnWithoutItsClient has an origin answer after the client was given the stale copy.
func TestTheCallGoesOnWithoutItsClient(t *testing.T) {
	inFakeTime(t, "max-age=10, stale-if-error=600", true, func(f *fakeTime) {
		f.origin.takes.Store(int64(5 * time.Second))
		a := f.ask(http.MethodGet)
		if status := a.Header().Get("Cache-Status"); a.took != time.Second || a.Body.String() != "call 1" || !strings.Contains(status, "fwd=stale; ttl=-2; detail=origin-timeout") {
			t.Errorf("after %v: %q, %s", a.took, a.Body, status)
		}
		fill := <-f.fills // which ends when the origin has answered
		if fill.Took != 5*time.Second || fill.Err != nil {
			t.Errorf("the fill ended after %v with %v", fill.Took, fill.Err)
		}
		if a := f.ask(http.MethodGet); a.took != 0 || a.Body.String() != "call 2" {
			t.Errorf("then a client waits %v and gets %q", a.took, a.Body)
		}
		if n := f.origin.calls.Load(); n != 2 {
			t.Errorf("the origin was asked %d times", n)
		}
	})
}

// TestClientsWaitForWhatTheyMustHave has the origin answer within the second, and a stored response
// that may not stand in.
func TestClientsWaitForWhatTheyMustHave(t *testing.T) {
	for control, takes := range map[string]time.Duration{
		"max-age=10, stale-if-error=600": 900 * time.Millisecond,
		"max-age=10":                     5 * time.Second, // whether the origin has failed is not known yet, and no window is named
		"max-age=10, must-revalidate":    5 * time.Second,
		"max-age=10, stale-if-error=1":   5 * time.Second,
	} {
		inFakeTime(t, control, true, func(f *fakeTime) {
			f.origin.takes.Store(int64(takes))
			for _, a := range f.together(3, http.MethodGet) {
				if a.took != takes || a.Body.String() != "call 2" {
					t.Errorf("%s: after %v: %q", control, a.took, a.Body)
				}
			}
		})
	}
}
