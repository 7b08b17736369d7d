package gatewaytest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/wire"
)

// Gateway is a running gateway with a client.
type Gateway struct {
	*proxy.Gateway
	Clock  *Clock
	Addr   string
	Events chan observe.Event // of finished requests, in order; dropped if the channel is full
	Hits   atomic.Int64       // answered by connections
	Fills  atomic.Int64       // fills that have ended
	Log    Log
	server *httptest.Server
	client *http.Client
	t      testing.TB
}

// Route starts a gateway with one route for all paths. url is its upstream's target. route holds
// further keys of the route, in YAML's flow style or indented by four spaces.
func Route(t testing.TB, url, route string) *Gateway {
	t.Helper()
	return Start(t, "cache: {memory: {size: 64MiB, max_object: 1MiB}}\nupstreams:\n  origin: {targets: ["+url+"], timeouts: {connect: 2s}}\n"+
		"routes:\n  - name: all\n    match: {path: /*}\n    upstream: origin\n"+indent(route))
}

// indent indents the keys of a route to their place under the route.
func indent(keys string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(keys)) {
		b.WriteString("    " + strings.TrimPrefix(line, "    "))
	}
	return b.String() + "\n"
}

// Start starts a gateway with the given configuration, which omits `version`. The gateway stops
// when the test ends; the test fails if it does not stop.
func Start(t testing.TB, yaml string) *Gateway {
	t.Helper()
	return start(t, yaml, true)
}

// StartUnwired is like Start, except that net/http answers all requests, as on a listener with
// `wire: false`.
func StartUnwired(t testing.TB, yaml string) *Gateway {
	t.Helper()
	return start(t, yaml, false)
}

func start(t testing.TB, yaml string, wired bool) *Gateway {
	t.Helper()
	cfg, err := config.Parse("gateway.yaml", []byte("version: 1\n"+yaml), os.LookupEnv, os.ReadFile)
	if err != nil {
		t.Fatalf("%v\n%s", err, yaml)
	}
	g := &Gateway{Clock: NewClock(), Events: make(chan observe.Event, 1<<12), t: t}
	g.Gateway, err = proxy.New(cfg, proxy.Options{Now: g.Clock.Now, Sink: g, Log: slog.New(slog.NewTextHandler(&g.Log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	g.server = httptest.NewUnstartedServer(g.Gateway)
	g.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	hot, now := g.Wire()
	if !wired {
		hot = nil
	}
	g.server.Listener = wire.Attach(g.server.Config, hot, now).Listener(g.server.Listener)
	g.server.Start()
	g.Addr = g.server.Listener.Addr().String()
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256}
	g.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() { g.stop(transport) })
	return g
}

// stop stops the clients, the server and the gateway, in this order.
func (g *Gateway) stop(transport *http.Transport) {
	transport.CloseIdleConnections()
	g.CloseUpgraded()
	g.server.CloseClientConnections()
	g.server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := g.Gateway.Close(ctx); err != nil {
		g.t.Errorf("closing the gateway: %v", err)
	}
}

// Finish records a finished request.
func (g *Gateway) Finish(e *observe.Event, _ *http.Request) { g.note(*e) }

// Hit records a hit that a connection answered, as the Event that a handler would have recorded.
func (g *Gateway) Hit(h *observe.Hit) {
	g.Hits.Add(1)
	g.note(observe.Event{
		Start: h.Start, Route: h.Route, Method: h.Method, Status: h.Status, BytesOut: h.BytesOut, ClientIP: h.ClientIP, Scheme: h.Scheme, Host: h.Host,
		Hit: true, KeyHash: fmt.Sprintf("%016x", h.Key), Key: h.Key, Action: "serve", Tier: "memory", TTL: h.TTL, Age: h.Age, Coding: cmp.Or(h.Coding, "identity"),
	})
}

// Fill records the end of a fill.
func (g *Gateway) Fill(*observe.Event) { g.Fills.Add(1) }

func (g *Gateway) note(e observe.Event) {
	select {
	case g.Events <- e:
	default:
	}
}

// Event returns the Event of the next finished request.
func (g *Gateway) Event() observe.Event {
	g.t.Helper()
	select {
	case e := <-g.Events:
		return e
	case <-time.After(patience):
		g.t.Fatal("timed out waiting for a request to finish")
		return observe.Event{}
	}
}

// AwaitWaiting waits until n requests wait for another request's fill.
func (g *Gateway) AwaitWaiting(n int) {
	g.t.Helper()
	Eventually(g.t, fmt.Sprintf("%d requests wait", n), func() bool { return g.Waiting() == n })
}

// Response is a response that a client has received.
type Response struct {
	Status  int
	Header  http.Header
	Body    string
	Trailer http.Header
	Err     error // why the client has not received all of it
}

// Param returns a parameter of the gateway's member of Cache-Status: "" if it is absent, "true" if
// it has no value.
func (r *Response) Param(name string) string {
	members := strings.Split(r.Header.Get("Cache-Status"), ",")
	for i, param := range strings.Split(members[len(members)-1], ";") {
		key, value, valued := strings.Cut(strings.TrimSpace(param), "=")
		switch {
		case i == 0 || key != name:
		case !valued:
			return "true"
		default:
			return value
		}
	}
	return ""
}

// Hit reports whether the response came from the store.
func (r *Response) Hit() bool { return r.Param("hit") == "true" }

// Get requests path, with header fields given as names and values in turn.
func (g *Gateway) Get(path string, fields ...string) *Response {
	g.t.Helper()
	return g.Do(http.MethodGet, path, nil, fields...)
}

// Do sends a request and reads the whole response. Host is set like other fields.
func (g *Gateway) Do(method, path string, body io.Reader, fields ...string) *Response {
	g.t.Helper()
	resp, err := g.Open(context.Background(), method, path, body, fields...)
	if err != nil {
		return &Response{Err: err, Header: make(http.Header)}
	}
	return read(resp)
}

func read(resp *http.Response) *Response {
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return &Response{resp.StatusCode, resp.Header, string(content), resp.Trailer, err}
}

// Go calls Get in a new goroutine. The channel delivers the response.
func (g *Gateway) Go(path string, fields ...string) <-chan *Response {
	c := make(chan *Response, 1)
	go func() { c <- g.Do(http.MethodGet, path, nil, fields...) }()
	return c
}

// Await receives a response from c.
func (g *Gateway) Await(c <-chan *Response) *Response {
	g.t.Helper()
	select {
	case r := <-c:
		return r
	case <-time.After(patience):
		g.t.Fatal("timed out waiting for a response")
		return nil
	}
}

// Open sends a request and returns when it has received the response's header. The caller must
// close the body.
func (g *Gateway) Open(ctx context.Context, method, path string, body io.Reader, fields ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+g.Addr+path, body)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] == "Host" {
			req.Host = fields[i+1]
			continue
		}
		req.Header.Add(fields[i], fields[i+1])
	}
	return g.client.Do(req)
}

// Dial opens a connection to the gateway, for tests that write requests themselves. It is closed
// when the test ends.
func (g *Gateway) Dial() net.Conn {
	g.t.Helper()
	conn, err := net.DialTimeout("tcp", g.Addr, patience)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, net.ErrClosed) {
		g.t.Fatal(err)
	}
	return conn
}

// Purge purges the responses with the tag through the admin API.
func (g *Gateway) Purge(t testing.TB, tag string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://localhost/purge", strings.NewReader(`{"tag": "`+tag+`"}`))
	w := httptest.NewRecorder()
	g.Admin("", func(context.Context) error { return nil }).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("purging tag %s: %d %s", tag, w.Code, w.Body)
	}
}
