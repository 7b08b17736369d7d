package snapshot_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/explain"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/wire"
)

// wireHits counts the requests that connections answer. It is told of each request, though maybe
// after the client has its response.
type wireHits struct {
	wire    atomic.Int64
	pending sync.WaitGroup // requests that it will be told of
}

func (h *wireHits) Finish(*observe.Event, *http.Request) { h.pending.Done() }

func (h *wireHits) Hit(*observe.Hit) {
	h.wire.Add(1)
	h.pending.Done()
}

// runGateway runs a gateway with the given configuration, and closes it when the test ends.
func runGateway(t *testing.T, sink observe.Sink, yaml string) *proxy.Gateway {
	t.Helper()
	cfg, err := config.Parse("t.yaml", []byte(yaml), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := proxy.New(cfg, proxy.Options{Sink: sink, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close(context.Background()) })
	return g
}

// stagedGateway runs one cached route for all paths, with a stage before its own.
func stagedGateway(t *testing.T, sink observe.Sink, stage edge.Stage) *proxy.Gateway {
	t.Helper()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		_, _ = io.WriteString(w, "content")
	}))
	t.Cleanup(origin.Close)
	g := runGateway(t, sink, "version: 1\nupstreams: {o: {targets: [\""+origin.URL+"\"]}}\n"+
		"routes: [{name: all, match: {path: \"/*\"}, upstream: o, cache: {enabled: true}}]\n")
	g.PutFirst("all", stage)
	return g
}

// protocols are the ways in which a connection answers hits.
var protocols = []string{"HTTP/1.1", "HTTP/2", "HTTP/1.1 over TLS", "HTTP/2 over TLS"}

// serveWired serves g over one of protocols with a wire. It returns a client, and the URL of the
// server.
func serveWired(t *testing.T, g *proxy.Gateway, protocol string) (*http.Client, string) {
	t.Helper()
	secure, two := protocol[len(protocol)-3:] == "TLS", protocol[:6] == "HTTP/2"
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hot, now := g.Wire()
	server := &http.Server{Handler: g}
	wired := wire.Attach(server, hot, now)
	l := &handshakes{Listener: ln, wired: wired}
	transport := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
	scheme := "http"
	if secure {
		scheme = "https"
		l.config = &tls.Config{Certificates: httptestCertificate(t), NextProtos: []string{"http/1.1"}}
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	switch {
	case two && secure:
		l.config.NextProtos = []string{"h2"}
		transport.Protocols.SetHTTP2(true)
	case two:
		transport.Protocols.SetUnencryptedHTTP2(true)
	default:
		transport.Protocols.SetHTTP1(true)
	}
	if two {
		l.h2 = wire.Attach(&http.Server{}, hot, now).AttachH2(&http.Server{Handler: g})
	}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
		running.Wait()
		l.running.Wait()
	})
	return &http.Client{Transport: transport}, scheme + "://" + ln.Addr().String()
}

// httptestCertificate is a certificate that no client trusts.
func httptestCertificate(t *testing.T) []tls.Certificate {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s.TLS.Certificates
}

// handshakes wires each connection that it accepts. Those of HTTP/2 it serves itself.
type handshakes struct {
	net.Listener
	wired   *wire.Server
	h2      *wire.H2
	config  *tls.Config
	running sync.WaitGroup
}

func (l *handshakes) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		var secure *tls.Conn
		if l.config != nil {
			secure = tls.Server(c, l.config)
			if err := secure.Handshake(); err != nil {
				c.Close()
				continue
			}
			c = secure
		}
		switch {
		case l.h2 != nil:
			l.running.Go(func() { l.h2.Serve(c) })
		case secure != nil:
			return l.wired.Wrap(c, c).TLS(secure), nil
		default:
			return l.wired.Wrap(c, c).Plain(), nil
		}
	}
}

// fetch reads a URL to its end.
func fetch(t *testing.T, client *http.Client, url string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "content" {
		t.Fatalf("%d %q %v", resp.StatusCode, body, err)
	}
}

// counting is a stage that counts the requests that pass it, with the given rule.
func counting(passes *atomic.Int64, rule edge.HitRule) edge.Stage {
	return edge.Stage{Name: "counting", OnHit: rule, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			passes.Add(1)
			next.ServeHTTP(w, r)
		})
	}}
}

// TestStagesAreBypassedOnlyIfTheyAllowIt: on every protocol a connection answers hits without a
// stage that declares it, and no hit without a stage that declares nothing.
func TestStagesAreBypassedOnlyIfTheyAllowIt(t *testing.T) {
	const requests = 40
	for _, c := range []struct {
		name     string
		rule     edge.HitRule
		bypassed bool
	}{
		{"nothing declared", edge.HitRule{}, false},
		{"never", edge.Never(), false},
		{"after the handler", edge.AfterHandler(), true},
		{"indifferent", edge.Indifferent(), true},
		{"check that agrees", edge.Check(func(*edge.Located) bool { return true }), true},
		{"check that refuses", edge.Check(func(*edge.Located) bool { return false }), false},
	} {
		for _, protocol := range protocols {
			t.Run(c.name+"/"+protocol, func(t *testing.T) {
				var passes atomic.Int64
				hits := new(wireHits)
				g := stagedGateway(t, hits, counting(&passes, c.rule))
				client, url := serveWired(t, g, protocol)
				hits.pending.Add(requests)
				for range requests {
					fetch(t, client, url+"/a?n=1")
				}
				hits.pending.Wait()
				switch {
				case !c.bypassed && (passes.Load() != requests || hits.wire.Load() != 0):
					t.Errorf("%d of %d requests passed the stage; connections answered %d", passes.Load(), requests, hits.wire.Load())
				case c.bypassed && (hits.wire.Load() == 0 || passes.Load()+hits.wire.Load() != requests):
					t.Errorf("%d requests passed the stage, and connections answered %d of %d", passes.Load(), hits.wire.Load(), requests)
				}
			})
		}
	}
}

// TestCheckSeesTheRequest: a check is asked of each hit, remembered or not, with the canonical
// request, and decides about this request alone.
func TestCheckSeesTheRequest(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			var passes atomic.Int64
			var mu sync.Mutex
			var seen []edge.Located
			hits := new(wireHits)
			g := stagedGateway(t, hits, counting(&passes, edge.Check(func(at *edge.Located) bool {
				mu.Lock()
				defer mu.Unlock()
				kept := *at
				kept.Path, kept.Query = string([]byte(at.Path)), string([]byte(at.Query))
				seen = append(seen, kept)
				return at.Path != "/guarded"
			})))
			client, url := serveWired(t, g, protocol)
			hits.pending.Add(40)
			for range 20 {
				fetch(t, client, url+"/open?n=1")
			}
			opened := passes.Swap(0)
			for range 20 {
				fetch(t, client, url+"/guarded?n=2")
			}
			hits.pending.Wait()
			if passes.Load() != 20 || opened+hits.wire.Load() != 20 || hits.wire.Load() == 0 {
				t.Errorf("%d of 20 requests to /guarded passed the stage, %d of those to /open; connections answered %d", passes.Load(), opened, hits.wire.Load())
			}
			mu.Lock()
			defer mu.Unlock()
			if !slices.ContainsFunc(seen, func(at edge.Located) bool {
				return at.Path == "/open" && at.Query == "n=1" && at.Route == "all" && at.Client.IsLoopback()
			}) {
				t.Errorf("the check was asked about %+v", seen)
			}
		})
	}
}

// TestExplainRunsNoStage: a stage that can't explain itself is named, and no stage is run.
func TestExplainRunsNoStage(t *testing.T) {
	var passes atomic.Int64
	g := stagedGateway(t, nil, counting(&passes, edge.HitRule{}))
	e, err := g.Explain(t.Context(), explain.Question{URL: "http://example.com/a"})
	if err != nil {
		t.Fatal(err)
	}
	if passes.Load() != 0 || !slices.Equal(e.Unexplained, []string{"counting"}) || e.Key == nil || e.Decision == nil {
		t.Errorf("the stage ran %d times; not explained: %q; key: %v", passes.Load(), e.Unexplained, e.Key)
	}
	refusing := counting(&passes, edge.HitRule{})
	refusing.Explain = func(at *edge.Located, e *edge.Explanation) { e.Refuse(http.StatusTooManyRequests, at.Path) }
	g = stagedGateway(t, nil, refusing)
	if e, err = g.Explain(t.Context(), explain.Question{URL: "http://example.com/a"}); err != nil {
		t.Fatal(err)
	}
	if no := e.Refused; passes.Load() != 0 || no == nil || no.Status != 429 || no.Detail != "429 Too Many Requests: /a" || e.Key != nil {
		t.Errorf("the stage ran %d times, and refuses by %+v", passes.Load(), no)
	}
}

// TestReloadLocatesAnew: a request that a connection located by one configuration is routed by the
// configuration that answers it.
func TestReloadLocatesAnew(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(origin.Close)
	parse := func(name string) *config.Config {
		cfg, err := config.Parse("t.yaml", []byte(fmt.Sprintf("version: 1\nupstreams: {o: {targets: [%q]}}\nroutes: [{name: %s, match: {path: \"/*\"}, upstream: o}]\n", origin.URL, name)), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	routes := make(chan string, 1)
	g, err := proxy.New(parse("before"), proxy.Options{Sink: routeNoter(routes), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close(context.Background()) })
	server := httptest.NewUnstartedServer(g)
	hot, now := g.Wire()
	reload := &reloading{Hot: hot}
	server.Listener = wire.Attach(server.Config, reload, now).Listener(server.Listener)
	server.Start()
	t.Cleanup(server.Close)
	for i, want := range []string{"before", "after"} {
		if i == 1 {
			next := parse("after")
			reload.then.Store(func() {
				if err := g.Apply(next); err != nil {
					t.Error(err)
				}
			})
		}
		resp, err := server.Client().Get(server.URL + "/a")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := <-routes; got != want || !reload.located.Load() {
			t.Errorf("the request was answered by route %s, located by the connection: %v; want %s", got, reload.located.Load(), want)
		}
	}
}

// reloading does something between a look by the connection and the handler.
type reloading struct {
	wire.Hot
	then    atomic.Value // a func(), once it is set
	located atomic.Bool
}

func (r *reloading) Answer(q *wire.Request, a *wire.Answer) bool {
	ok := r.Hot.Answer(q, a)
	r.located.Store(a.Handed.Located != nil)
	if then, set := r.then.Load().(func()); set {
		then()
	}
	return ok
}

// routeNoter is told of the route of each request.
type routeNoter chan string

func (n routeNoter) Finish(ev *observe.Event, _ *http.Request) { n <- ev.Route }
func (n routeNoter) Hit(h *observe.Hit)                        { n <- h.Route }
