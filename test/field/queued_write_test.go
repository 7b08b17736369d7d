package field

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
	"github.com/penstock/penstock/test/redistest"
)

// shelf is an origin that keeps what it is sent, once its gate lets a write through.
type shelf struct {
	*gatewaytest.Origin
	gate *gatewaytest.Gate
	mu   sync.Mutex
	at   map[string]string
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{gate: gatewaytest.NewGate(t), at: map[string]string{}}
	s.Origin = gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			s.gate.Wait()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.Method == http.MethodPut {
			s.at[r.URL.Path] = r.Header.Get("X-Name")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Etag", `"`+s.at[r.URL.Path]+`"`)
		fmt.Fprint(w, "old"+s.at[r.URL.Path])
	})
	return s
}

// behindConfig is an instance with the queue in file, "" for Redis, whose reads see what is queued.
func behindConfig(redis, origin, file string) string {
	writes := ""
	if file != "" {
		writes = fmt.Sprintf("writes: {path: %q}\n", file)
	}
	return "cache: {memory: {size: 64MiB, max_object: 1MiB}, redis: {url: " + redis + ", timeout: 5s}}\n" + writes +
		"upstreams: {origin: {targets: [" + origin + "]}}\n" +
		"routes:\n  - {name: b, match: {path: /b/*}, upstream: origin, cache: {enabled: true, ttl: {default: 1h}, stale_while_revalidate: 1h}, " +
		"writes: {policy: behind, queue: {cache_body: true}}}\n"
}

// site is a gateway that is asked for one host, whatever its address.
type site struct{ *gatewaytest.Gateway }

func (s site) Get(path string, fields ...string) *gatewaytest.Response {
	return s.Do(http.MethodGet, path, nil, fields...)
}

func (s site) Do(method, path string, body io.Reader, fields ...string) *gatewaytest.Response {
	return s.Gateway.Do(method, path, body, append(fields, "Host", "shop.test")...)
}

func (s site) Go(path string, fields ...string) <-chan *gatewaytest.Response {
	return s.Gateway.Go(path, append(fields, "Host", "shop.test")...)
}

// queueKinds are the places of the queue.
var queueKinds = []string{"file", "redis"}

// pair starts two instances beside one Redis. Each has a queue of its own with kind file.
func pair(t *testing.T, kind string) (s *shelf, a, b site, config string) {
	t.Helper()
	redis, files := redistest.Start(t), []string{"", ""}
	if kind == "file" {
		files = []string{filepath.Join(t.TempDir(), "a.db"), filepath.Join(t.TempDir(), "b.db")}
	}
	s = newShelf(t)
	config = behindConfig(redis.URL(), s.URL, files[0])
	a, b = site{gatewaytest.Start(t, config)}, site{gatewaytest.Start(t, behindConfig(redis.URL(), s.URL, files[1]))}
	for _, g := range []site{a, b} {
		g.Preload(t.Context()) // it waits until Redis is used
	}
	return s, a, b, config
}

// put has a write accepted, and gives the path of its state. It is repeated if Redis was too slow on a busy machine.
func put(t *testing.T, g site, path, content string, fields ...string) (location string) {
	t.Helper()
	fields = append(fields, "X-Name", content, "Idempotency-Key", rand.Text())
	gatewaytest.Eventually(t, "PUT "+path+" is accepted", func() bool {
		r := g.Do(http.MethodPut, path, strings.NewReader(content), fields...)
		location = r.Header.Get("Location")
		return r.Status == http.StatusAccepted
	})
	return location
}

// TestAReaderSeesHisQueuedWriteUntilItIsApplied: the instance that has accepted a write shows it, whatever lies fresh anywhere, on every way to a
// stored response.
func TestAReaderSeesHisQueuedWriteUntilItIsApplied(t *testing.T) {
	for name, read := range map[string]func(t *testing.T, s *shelf, a, b site){
		"another instance stores the old value for all": func(t *testing.T, _ *shelf, a, b site) {
			put(t, a, "/b/1", "new")
			wantBody(t, a.Get("/b/1"), "new")
			b.Get("/b/1")
			for range 40 { // the connection answers some, if it may
				wantBody(t, a.Get("/b/1"), "new")
			}
		},
		"the old value is a hit of the connection before": func(t *testing.T, _ *shelf, a, _ site) {
			for range 60 {
				a.Get("/b/1")
			}
			put(t, a, "/b/1", "new")
			for range 60 {
				wantBody(t, a.Get("/b/1"), "new")
			}
		},
		"a fill that began before": func(t *testing.T, s *shelf, a, b site) {
			gate := gatewaytest.NewGate(t)
			s.Answer(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					gate.Wait()
					fmt.Fprint(w, "old")
					return
				}
				s.gate.Wait()
			})
			first, second := a.Go("/b/1"), b.Go("/b/1")
			gate.Came(t)
			put(t, a, "/b/1", "new")
			gate.Open()
			a.Await(first)
			b.Await(second)
			wantBody(t, a.Get("/b/1"), "new")
			wantBody(t, a.Get("/b/1"), "new")
		},
		"many that come at once": func(t *testing.T, _ *shelf, a, b site) {
			put(t, a, "/b/1", "new")
			b.Get("/b/1")
			var all []<-chan *gatewaytest.Response
			for range 20 {
				all = append(all, a.Go("/b/1"))
			}
			for _, c := range all {
				wantBody(t, a.Await(c), "new")
			}
		},
		"a range of it": func(t *testing.T, _ *shelf, a, b site) {
			put(t, a, "/b/1", "new")
			b.Get("/b/1")
			wantBody(t, a.Get("/b/1", "Range", "bytes=1-"), "ew")
		},
		"HEAD": func(t *testing.T, _ *shelf, a, b site) {
			put(t, a, "/b/1", "longer")
			b.Get("/b/1")
			if r := a.Do(http.MethodHead, "/b/1", nil); r.Header.Get("Content-Length") != "6" {
				t.Errorf("%v", r.Header)
			}
		},
		"the validator of the old value": func(t *testing.T, _ *shelf, a, b site) {
			put(t, a, "/b/1", "new")
			etag := b.Get("/b/1").Header.Get("Etag")
			wantBody(t, a.Get("/b/1", "If-None-Match", etag), "new")
		},
		"only-if-cached": func(t *testing.T, _ *shelf, a, b site) {
			put(t, a, "/b/1", "new")
			b.Get("/b/1")
			wantBody(t, a.Get("/b/1", "Cache-Control", "only-if-cached"), "new")
		},
		"the old value went stale and may be served": func(t *testing.T, _ *shelf, a, b site) {
			put(t, a, "/b/1", "new")
			b.Get("/b/1")
			a.Clock.Advance(2 * time.Hour)
			wantBody(t, a.Get("/b/1"), "new")
			wantBody(t, a.Get("/b/1"), "new")
		},
		"a second write": func(t *testing.T, _ *shelf, a, b site) {
			put(t, a, "/b/1", "one")
			b.Get("/b/1")
			put(t, a, "/b/1", "two")
			b.Get("/b/1")
			wantBody(t, a.Get("/b/1"), "two")
		},
		"a DELETE": func(t *testing.T, _ *shelf, a, b site) {
			a.Do(http.MethodDelete, "/b/1", nil)
			b.Get("/b/1")
			for range 2 {
				if r := a.Get("/b/1"); r.Status != http.StatusNotFound {
					t.Errorf("%d %q", r.Status, r.Body)
				}
			}
		},
		"a query, which is another resource": func(t *testing.T, _ *shelf, a, b site) {
			put(t, a, "/b/1?v=2", "new")
			b.Get("/b/1?v=2")
			wantBody(t, a.Get("/b/1?v=2"), "new")
			wantBody(t, a.Get("/b/1"), "old")
		},
	} {
		for _, kind := range queueKinds {
			t.Run(name+", queue in "+kind, func(t *testing.T) {
				s, a, b, _ := pair(t, kind)
				read(t, s, a, b)
				s.gate.Open()
			})
		}
	}
}

// TestNothingIsStoredOfWhatIsAboutToChange: reads that the origin answers while a write waits leave nothing behind on the instance of the write, and
// once it is applied all get the new value.
func TestNothingIsStoredOfWhatIsAboutToChange(t *testing.T) {
	for _, kind := range queueKinds {
		t.Run("queue in "+kind, func(t *testing.T) {
			s, a, b, _ := pair(t, kind)
			location := put(t, a, "/b/1", "new", "Authorization", "me")
			for range 3 { // a stranger gets what the origin has, each time anew
				before := s.Calls()
				if r := a.Get("/b/1"); r.Body != "old" || r.Hit() || s.Calls() == before {
					t.Errorf("%q %v", r.Body, r.Header["Cache-Status"])
				}
			}
			s.gate.Open()
			gatewaytest.Eventually(t, "the write is applied", func() bool { return strings.Contains(a.Get(location).Body, `"done"`) })
			for _, g := range []site{a, b, a} {
				gatewaytest.Eventually(t, "all see it", func() bool { return g.Get("/b/1").Body == "oldnew" })
			}
			gatewaytest.Eventually(t, "it is cached again", func() bool { return a.Get("/b/1").Hit() })
		})
	}
}

// TestAQueuedWriteIsSeenAfterARestart: the file tells the next process what is held.
func TestAQueuedWriteIsSeenAfterARestart(t *testing.T) {
	s, a, b, config := pair(t, "file")
	put(t, a, "/b/1", "new")
	b.Get("/b/1")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // the try under way is cut off
	defer cancel()
	_ = a.Gateway.Close(ctx)
	again := site{gatewaytest.Start(t, config)}
	for range 3 {
		wantBody(t, again.Get("/b/1"), "new")
	}
	s.gate.Open()
}

func wantBody(t *testing.T, r *gatewaytest.Response, want string) {
	t.Helper()
	if r.Body != want || r.Err != nil {
		t.Errorf("%d %q, %v; want %q", r.Status, r.Body, r.Header["Cache-Status"], want)
	}
}
