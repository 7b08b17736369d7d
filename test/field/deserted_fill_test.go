package field

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
)

// stream is a response whose end nobody knows.
type stream struct {
	name   string
	fields []string // of the response
	piece  int      // bytes that are sent at once, again and again
	silent bool     // after the first piece nothing comes
	route  string   // further keys of the route
	ask    []string // of the request
	within time.Duration
}

// soon is for what ends with its last reader, and later for what may go on a while without one.
const (
	soon  = 5 * time.Second // far below the 10 s that a response with an unknown end may go on
	later = 25 * time.Second
)

var streams = []stream{
	{name: "events without a word about caching", fields: []string{"Content-Type", "text/event-stream"}, piece: 10, within: soon},
	{name: "events with a lifetime", fields: []string{"Content-Type", "text/event-stream; charset=utf-8", "Cache-Control", "public, max-age=60"}, piece: 10, within: soon},
	{name: "silent events with a lifetime", fields: []string{"Content-Type", "Text/Event-Stream", "Cache-Control", "max-age=60"}, piece: 10, silent: true, within: soon},
	{name: "pictures of a camera", fields: []string{"Content-Type", "multipart/x-mixed-replace; boundary=x", "Cache-Control", "max-age=60"}, piece: 1000, within: soon},
	{name: "messages of a call", fields: []string{"Content-Type", "application/grpc+proto", "Cache-Control", "max-age=60"}, piece: 10, within: soon},
	{name: "a feed that must not be stored", fields: []string{"Content-Type", "application/x-ndjson", "Cache-Control", "no-store"}, piece: 10, within: soon},
	{name: "a feed that says nothing", fields: []string{"Content-Type", "application/x-ndjson"}, piece: 10, within: later},
	{name: "a radio that has outgrown the store", fields: []string{"Content-Type", "audio/mpeg", "Cache-Control", "max-age=60"}, piece: 64 << 10, within: soon},
	{name: "an announced length that the store does not take", fields: []string{"Content-Length", "10000000000", "Cache-Control", "max-age=60"}, piece: 1000, within: soon},
	{name: "a feed with a lifetime", fields: []string{"Content-Type", "application/x-ndjson", "Cache-Control", "max-age=60"}, piece: 10, within: later},
	{name: "a silent feed with a lifetime", fields: []string{"Content-Type", "application/json-seq", "Cache-Control", "max-age=60"}, piece: 10, silent: true, within: later},
	{name: "a feed with a validator", fields: []string{"Content-Type", "text/plain", "ETag", `"1"`, "Cache-Control", "no-cache"}, piece: 10, within: later},
	{
		name: "a feed with a lifetime that is coded", fields: []string{"Content-Type", "application/json", "Cache-Control", "max-age=60"}, piece: 10,
		route: "compress: {min_size: 1}", ask: []string{"Accept-Encoding", "gzip"}, within: later,
	},
	{name: "a feed that the route gives a lifetime", fields: []string{"Content-Type", "text/plain"}, piece: 10, route: "cache: {enabled: true, ttl: {default: 60s}}", within: later},
}

// TestEndlessAnswerEndsAfterItsClientsHaveLeft reads the beginning of each stream with three clients that leave then. The origin must see its calls end.
func TestEndlessAnswerEndsAfterItsClientsHaveLeft(t *testing.T) {
	for _, s := range streams {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.test(t)
		})
	}
}

func (s *stream) test(t *testing.T) {
	var running atomic.Int64
	o := NewOrigin(t, s.serve(&running))
	route := s.route
	if route == "" {
		route = "cache: {enabled: true}"
	} else if s.route[:5] != "cache" {
		route = "cache: {enabled: true}\n" + route
	}
	g := Route(t, o.URL, route)
	var leave []func()
	for range 3 {
		leave = append(leave, readBeginning(t, g, "/stream", s.ask...))
	}
	for _, f := range leave {
		f()
	}
	left := time.Now()
	for running.Load() > 0 || g.Filling() > 0 {
		if time.Since(left) > s.within {
			t.Fatalf("%v after the last client has left, %d calls are open at the origin and %d fills run", s.within, running.Load(), g.Filling())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// serve sends pieces until the gateway hangs up.
func (s *stream) serve(running *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Add(-1)
		Text("", s.fields...)(w, r)
		piece := make([]byte, s.piece)
		for i := range piece {
			piece[i] = 'x'
		}
		for r.Context().Err() == nil {
			if _, err := w.Write(piece); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			pause := time.After(5 * time.Millisecond)
			if s.silent {
				pause = nil
			}
			select {
			case <-pause:
			case <-r.Context().Done():
			}
		}
	}
}

// readBeginning reads the first byte of a response. The function that it returns has the client leave.
func readBeginning(t *testing.T, g *Gateway, path string, fields ...string) (leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := g.Open(ctx, http.MethodGet, path, nil, fields...)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
		t.Errorf("reading the beginning: %v", err)
	}
	return func() {
		cancel()
		resp.Body.Close()
	}
}

// TestRefreshOfAnEndlessAnswerEnds has a stored response turn into a stream. No client reads the refresh.
func TestRefreshOfAnEndlessAnswerEnds(t *testing.T) {
	t.Parallel()
	var running atomic.Int64
	o := NewOrigin(t, Text("page", "Cache-Control", "max-age=1, stale-while-revalidate=600"))
	g := Route(t, o.URL, "cache: {enabled: true}")
	g.Get("/")
	s := stream{fields: []string{"Content-Type", "application/x-ndjson", "Cache-Control", "max-age=60"}, piece: 10}
	o.Answer(s.serve(&running))
	g.Clock.Advance(3 * time.Second)
	if r := g.Get("/"); r.Body != "page" {
		t.Fatalf("%d %q", r.Status, r.Body)
	}
	Eventually(t, "the refresh has begun", func() bool { return running.Load() == 1 })
	for end := time.Now().Add(later); running.Load() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the refresh goes on and on")
		}
	}
}

// TestManyLeftStreamsDoNotTakeTheUpstreamFromOthers opens more cacheable streams than the upstream takes, one after the other, and leaves each. Then
// another page of the upstream must be answered at once.
func TestManyLeftStreamsDoNotTakeTheUpstreamFromOthers(t *testing.T) {
	t.Parallel()
	var running atomic.Int64
	s := stream{fields: []string{"Content-Type", "application/x-ndjson", "Cache-Control", "max-age=60"}, piece: 10}
	endless := s.serve(&running)
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page" {
			Text("page")(w, r)
			return
		}
		endless(w, r)
	})
	g := Start(t, fmt.Sprintf("upstreams:\n  origin: {targets: [%q], pool: {max: 8, wait: 5s}}\nroutes: [{name: all, match: {path: /*}, upstream: origin, cache: {enabled: true}}]\n", o.URL))
	for i := range 30 {
		readBeginning(t, g, fmt.Sprint("/stream/", i))()
	}
	if r := g.Get("/page"); r.Status != http.StatusOK {
		t.Errorf("the page beside the streams: %d %q", r.Status, r.Body)
	}
	if n := running.Load(); n > 4 {
		t.Errorf("%d streams run without a client; a quarter of 8 connections may, and one more that is about to end", n)
	}
}

// TestResponseOfAClientThatLeavesIsStoredAllTheSame shows the other side: an answer that ends is worth its call.
func TestResponseOfAClientThatLeavesIsStoredAllTheSame(t *testing.T) {
	for _, fields := range [][]string{
		{"Cache-Control", "max-age=60"},
		{"Cache-Control", "max-age=60", "Content-Length", "8"},
		{"Cache-Control", "max-age=60", "Content-Type", "application/x-ndjson"},
	} {
		gate := NewGate(t)
		o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			flushed("half", fields...)(w, r)
			gate.Wait()
			_, _ = io.WriteString(w, "half") // if it fails the next client sees it
		})
		g := Route(t, o.URL, "cache: {enabled: true}")
		readBeginning(t, g, "/")()
		gate.Open()
		Eventually(t, "the fill has ended", func() bool { return g.Filling() == 0 })
		if r := g.Get("/"); !r.Hit() || r.Body != "halfhalf" {
			t.Errorf("%v: %s %q", fields, r.Header.Get("Cache-Status"), r.Body)
		}
	}
}
