package field

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
	"github.com/penstock/penstock/test/redistest"
)

// leaving is a moment at which a client can leave while the fill that it leads goes on.
type leaving struct {
	name   string
	keys   string // further keys of the route
	before func(testing.TB, *leavingBench)
	answer http.HandlerFunc // of the origin to the call that the client leaves; it is at the gate first, unless early says otherwise
	early  bool             // the answer's beginning comes before the gate
	fields []string         // of the request
	slow   time.Duration    // of Redis
}

// leavingBench is a gateway whose fills take a lease in Redis.
type leavingBench struct {
	*Gateway
	o     *Origin
	redis *redistest.Proxy
}

var leavings = []leaving{
	{name: "before the fill has the lease", slow: 50 * time.Millisecond, answer: Text("new", "Cache-Control", "max-age=60")},
	{name: "before the origin answers", answer: Text("new", "Cache-Control", "max-age=60")},
	{name: "in the middle of the body", early: true, answer: flushed("new", "Cache-Control", "max-age=60")},
	{name: "in the middle of a body that is coded", keys: "compress: {min_size: 1}", early: true, fields: []string{"Accept-Encoding", "gzip"}, answer: flushed("new", "Cache-Control", "max-age=60")},
	{name: "while a stale copy is validated", before: stored("max-age=1"), answer: Text("new", "Cache-Control", "max-age=60", "ETag", `"2"`)},
	{name: "right after a stale answer that has started a refresh", before: stored("max-age=1, stale-while-revalidate=600"), answer: Text("new", "Cache-Control", "max-age=60")},
	{name: "while an error page is fetched", keys: "errors: [{status: [404], serve: /page}]", answer: func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/page" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		Text("page")(w, r)
	}},
	{name: "with a Range request", fields: []string{"Range", "bytes=0-1"}, answer: Text("new", "Cache-Control", "max-age=60", "ETag", `"1"`)},
	{name: "with an answer for it alone", answer: Text("own", "Cache-Control", "private")},
	{name: "when the answer varies", slow: 50 * time.Millisecond, fields: []string{"Accept-Language", "de"}, answer: Text("new", "Cache-Control", "max-age=60", "Vary", "Accept-Language")},
	{name: "when the origin fails", before: stored("max-age=1, stale-if-error=600"), answer: Status(http.StatusInternalServerError)},
}

// flushed sends content at once, before the end of the response.
func flushed(content string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		Text(content, fields...)(w, r)
		w.(http.Flusher).Flush()
	}
}

// stored has a response in the store that has been stale for 2 s.
func stored(control string) func(testing.TB, *leavingBench) {
	return func(t testing.TB, b *leavingBench) {
		t.Helper()
		b.o.Answer(Text("old", "Cache-Control", control, "ETag", `"1"`))
		if r := b.Get("/page-of-all"); r.Status != http.StatusOK {
			t.Fatalf("storing: %d", r.Status)
		}
		b.Clock.Advance(3 * time.Second)
	}
}

// TestLeavingClientDoesNotRaceWithItsFill is of use with the race detector: the fill must not read what the goroutine of the client that has left
// writes to. Without the detector it shows that the next client is answered.
func TestLeavingClientDoesNotRaceWithItsFill(t *testing.T) {
	redis := redistest.Start(t)
	for _, l := range leavings {
		t.Run(l.name, func(t *testing.T) { l.test(t, redis) })
	}
}

func (l *leaving) test(t *testing.T, redis *redistest.Server) {
	proxy := redistest.StartProxy(t, redis.Addr)
	o := NewOrigin(t, Text("old"))
	g := Start(t, fmt.Sprintf(`
cache: {memory: {size: 64MiB}, redis: {url: %q, prefix: %q, timeout: 5s}}
upstreams: {origin: {targets: [%q]}}
routes:
  - name: all
    match: {path: /*}
    upstream: origin
    cache: {enabled: true}
    coalesce: {across_instances: true}
    %s
`, proxy.URL(), "leaving"+fmt.Sprint(time.Now().UnixNano()), o.URL, l.keys))
	b := &leavingBench{g, o, proxy}
	// An instance that comes to know the others' purges drops what it stored before, the stale copy of
	// this test too. So it has to be through with that.
	g.Preload(t.Context())
	if l.before != nil {
		l.before(t, b)
	}
	gate := NewGate(t)
	o.Answer(l.gated(gate))
	proxy.Delay(l.slow)
	calls := o.Calls()
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		resp, err := b.Open(ctx, http.MethodGet, "/page-of-all", nil, l.fields...)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body) // it is going to be broken off
			resp.Body.Close()
		}
	}()
	if l.slow == 0 {
		gate.Came(t)
	} else {
		time.Sleep(l.slow) // about the time that the lookup takes: the fill asks for the lease now
	}
	leave()
	<-done
	gate.Open()
	Eventually(t, "the fill has ended", func() bool { return b.Filling() == 0 && (o.Calls() > calls || l.slow > 0) })
	proxy.Delay(0)
	if r := b.Get("/page-of-all", l.fields...); r.Err != nil || r.Status >= 500 {
		t.Errorf("the next client gets %d %q, %v", r.Status, r.Body, r.Err)
	}
}

// gated has the answer wait at the gate.
func (l *leaving) gated(gate *Gate) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if l.early {
			l.answer(w, r)
			gate.Wait()
			return
		}
		gate.Wait()
		l.answer(w, r)
	}
}
