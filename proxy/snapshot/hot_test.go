package snapshot_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/wire"
)

// repeater is a client's connection that says the same request a number of times, and then ends.
type repeater struct {
	net.Conn
	request string
	left    int
	written int
}

func (c *repeater) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	c.left--
	return copy(p, c.request), nil
}

func (c *repeater) Write(p []byte) (int, error) {
	c.written += len(p)
	return len(p), nil
}

func (*repeater) SetReadDeadline(time.Time) error { return nil }
func (*repeater) Close() error                    { return nil }
func (*repeater) RemoteAddr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711} }

// tally counts hits.
type tally struct{ slow, hits int }

func (t *tally) Finish(*observe.Event, *http.Request) { t.slow++ }
func (t *tally) Hit(*observe.Hit)                     { t.hits++ }

// wiredGateway is a gateway in front of an origin that answers with size bytes of text, and what
// its connections are wrapped by.
func wiredGateway(t testing.TB, size int, sink observe.Sink) (*proxy.Gateway, *wire.Server) {
	t.Helper()
	return wiredGatewayWith(t, size, sink, "")
}

// wiredGatewayWith is wiredGateway with further keys of the route for all paths.
func wiredGatewayWith(t testing.TB, size int, sink observe.Sink, keys string) (*proxy.Gateway, *wire.Server) {
	t.Helper()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Header().Set("Vary", "X-Kind")
		w.Header().Set("Etag", `"abc"`)
		_, _ = io.WriteString(w, strings.Repeat("0123456789abcdef", size/16))
	}))
	t.Cleanup(origin.Close)
	cfg, err := config.Parse("t.yaml", []byte("version: 1\nupstreams: {o: {targets: [\""+origin.URL+"\"]}}\nroutes:\n"+
		"  - {name: text, match: {path: \"/text/*\"}, upstream: o, cache: {enabled: true}, compress: {encodings: [gzip], min_size: 100}}\n"+
		"  - {name: all, match: {path: \"/*\"}, upstream: o, cache: {enabled: true}"+keys+"}\n"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := proxy.New(cfg, proxy.Options{Sink: sink, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	hot, now := g.Wire()
	return g, wire.Attach(&http.Server{IdleTimeout: time.Minute}, hot, now)
}

// warm has the request answered by the handler until it is a hit that is remembered.
func warm(t testing.TB, g *proxy.Gateway, path string, fields ...string) {
	t.Helper()
	warmTo(t, g, 2, path, fields...)
}

// warmTo has the request answered by the handler until so many answers were hits.
func warmTo(t testing.TB, g *proxy.Gateway, most int, path string, fields ...string) {
	t.Helper()
	for hits, end := 0, time.Now().Add(10*time.Second); hits < most; {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		w := httptest.NewRecorder()
		if g.ServeHTTP(w, r); w.Code != http.StatusOK && w.Code != http.StatusNotModified {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if strings.Contains(w.Header().Get("Cache-Status"), "; hit") {
			hits++
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not become a hit: %s", path, w.Header().Get("Cache-Status"))
		}
	}
}

// hitCases are what is measured: name, request, and the fields that it is warmed with.
var hitCases = []struct {
	name, path string
	size       int
	fields     []string
}{
	{"1KB", "/a?n=1", 1 << 10, nil},
	{"16KB", "/a", 16 << 10, nil},
	{"gzip", "/text/a", 16 << 10, []string{"Accept-Encoding", "gzip, deflate, br"}},
	{"revalidated", "/a", 1 << 10, []string{"If-None-Match", `"abc"`}},
	{"browser", "/a", 1 << 10, []string{"Accept-Encoding", "gzip, deflate, br, zstd", "Accept-Language", "de-DE,de;q=0.9,en;q=0.8", "Cookie", strings.Repeat("session=0123456789; ", 8),
		"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36", "Sec-Fetch-Mode", "navigate", "X-Kind", "one"}},
}

func requestText(path string, fields []string) string {
	var b strings.Builder
	b.WriteString("GET " + path + " HTTP/1.1\r\nHost: example.com\r\n")
	for i := 0; i < len(fields); i += 2 {
		b.WriteString(fields[i] + ": " + fields[i+1] + "\r\n")
	}
	return b.String() + "\r\n"
}

// TestHitsOfConnectionsAllocateNothing: and they are told to the sink, each of them.
func TestHitsOfConnectionsAllocateNothing(t *testing.T) {
	for _, c := range hitCases {
		t.Run(c.name, func(t *testing.T) {
			hitsAllocateNothing(t, c.size, c.path, c.fields, "")
		})
	}
}

// TestHitsThatStagesCheckAllocateNothing: stages that are asked about each hit allocate nothing.
func TestHitsThatStagesCheckAllocateNothing(t *testing.T) {
	const cors = ", cors: {origins: [\"https://app.example.com\", \"https://*.example.org\"], expose: [X-Total], credentials: true}"
	for _, c := range []struct {
		keys   string
		fields []string
	}{
		{", allow: {ips: [192.0.2.0/24, \"2001:db8::/32\"], deny_ips: [192.0.2.128/25, 10.0.0.0/8]}", nil},
		{", auth: {api_keys: {keys: [{name: a, key: first}, {name: b, key: second}]}}", []string{"X-Api-Key", "second"}},
		{cors, nil},
		{cors, []string{"Origin", "https://app.example.com"}},
		{cors, []string{"Origin", "https://a.b.example.org"}},
		{cors, []string{"Origin", "https://evil.example"}},
		{cors, []string{"Origin", "https://app.example.com", "If-None-Match", `"abc"`}},
		{", rate_limit: {rate: 1000000/s, burst: 1000000}", nil},
		{", rate_limit: {rate: 1000000/s, burst: 1000000, by: \"header:x-user\"}, allow: {ips: [192.0.2.0/24]}", nil},
	} {
		t.Run(fmt.Sprint(c.keys, c.fields), func(t *testing.T) { hitsAllocateNothing(t, 1<<10, "/a?n=1", c.fields, c.keys) })
	}
}

// hitsAllocateNothing asks for hits of a gateway whose route has the keys.
func hitsAllocateNothing(t *testing.T, size int, path string, fields []string, keys string) {
	t.Helper()
	var told tally
	g, server := wiredGatewayWith(t, size, &told, keys)
	warm(t, g, path, fields...)
	client := &repeater{request: requestText(path, fields)}
	conn, buf := server.Wrap(client, client).Plain(), make([]byte, 4096)
	talk := func() {
		client.left = 100
		if n, err := conn.Read(buf); err != io.EOF {
			t.Fatalf("net/http was given %q, %v", buf[:n], err)
		}
	}
	for range 12 {
		talk() // the first thousand of a route are looked at closely
	}
	// AllocsPerRun also counts what the gateway's background work allocates meanwhile. A hit that
	// allocates does so in each round.
	least := math.Inf(1)
	for range 5 {
		told.hits = 0
		least = min(least, testing.AllocsPerRun(20, talk))
		if told.hits != 21*100 {
			t.Errorf("%d hits were told", told.hits)
		}
	}
	if least >= 1 && !underRace {
		t.Errorf("100 hits allocate %v times", least)
	}
}

// BenchmarkConnectionHit is a hit without the socket.
func BenchmarkConnectionHit(b *testing.B) {
	for _, c := range hitCases {
		b.Run(c.name, func(b *testing.B) {
			var told tally
			g, server := wiredGateway(b, c.size, &told)
			warm(b, g, c.path, c.fields...)
			client := &repeater{request: requestText(c.path, c.fields), left: 1}
			conn, buf := server.Wrap(client, client).Plain(), make([]byte, 4096)
			_, _ = conn.Read(buf)
			b.ReportAllocs()
			b.ResetTimer()
			client.left = b.N
			_, _ = conn.Read(buf)
			if told.hits != b.N+1 {
				b.Fatalf("%d of %d hits", told.hits, b.N+1)
			}
		})
	}
}

// sampler traces what it is told to.
type sampler struct {
	trace   atomic.Bool
	parents chan string
}

func (s *sampler) Sample(traceparent string) bool {
	s.parents <- strings.Clone(traceparent)
	return s.trace.Load()
}

// events keeps what a sink is told.
type events struct {
	slow chan observe.Event
	hits chan observe.Hit
}

func (e *events) Finish(ev *observe.Event, _ *http.Request) { e.slow <- *ev }
func (e *events) Hit(h *observe.Hit) {
	kept := *h
	kept.Head = nil
	e.hits <- kept
}

// TestTracedHits: the sampler is asked of each hit that a connection answers, and of no other
// request; what it says is told to sinks. It is told of the parent only where the peer is trusted.
func TestTracedHits(t *testing.T) {
	for _, trusted := range []string{"[]", "[127.0.0.0/8, \"::1\"]"} {
		sink := &events{make(chan observe.Event, 10), make(chan observe.Hit, 10)}
		s := &sampler{parents: make(chan string, 10)}
		origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "max-age=600") }))
		defer origin.Close()
		cfg, err := config.Parse("t.yaml", []byte("version: 1\nserver: {trusted_proxies: "+trusted+"}\nupstreams: {o: {targets: [\""+origin.URL+"\"]}}\n"+
			"routes: [{name: all, match: {path: \"/*\"}, upstream: o, cache: {enabled: true}}]\n"), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		g, err := proxy.New(cfg, proxy.Options{Sink: sink, Sampler: s, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(g)
		hot, now := g.Wire()
		server.Listener = wire.Attach(server.Config, hot, now).Listener(server.Listener)
		server.Start()
		ask := func() {
			req, _ := http.NewRequest(http.MethodGet, server.URL+"/a", nil)
			req.Header.Set("Traceparent", "00-1-2-01")
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		for n := 0; n == 0; n = len(sink.hits) { // until the connection answers
			ask()
			if len(sink.slow) == cap(sink.slow) {
				t.Fatal("the connection answers nothing")
			}
			select {
			case <-sink.slow:
			case h := <-sink.hits:
				sink.hits <- h
			}
		}
		if h := <-sink.hits; h.Route != "all" || h.Status != 200 || h.Method != "GET" || h.TTL <= 0 || !h.ClientIP.IsLoopback() || h.Scheme != "http" || h.BytesIn == 0 {
			t.Errorf("the sink was told of %+v", h)
		}
		want := "00-1-2-01"
		if trusted == "[]" {
			want = ""
		}
		if got := <-s.parents; got != want {
			t.Errorf("trusted %s: the sampler was given %q", trusted, got)
		}
		s.trace.Store(true)
		ask()
		if h := <-sink.hits; !h.Traced || h.Pattern != "/*" || h.Trusted != (trusted != "[]") {
			t.Errorf("the sink was told of %+v", h)
		}
		server.Close()
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}
