package telemetry

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/penstock/penstock/test/load/program"
	"github.com/penstock/penstock/test/redistest"
)

// origin answers, and remembers the Traceparent that it was asked with, by path. What is asked for /slow waits until it is let go.
type origin struct {
	*httptest.Server
	came, let chan struct{}
	mu        sync.Mutex
	parents   map[string]string
}

func startOrigin(t *testing.T) *origin {
	o := &origin{came: make(chan struct{}, 16), let: make(chan struct{}), parents: make(map[string]string)}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Server.Close)
	return o
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.parents[r.URL.Path] = r.Header.Get("Traceparent")
	o.mu.Unlock()
	switch r.URL.Path {
	case "/slow":
		o.came <- struct{}{}
		<-o.let
	case "/broken":
		w.WriteHeader(http.StatusInternalServerError)
		return
	case "/brief":
		w.Header().Set("Cache-Control", "max-age=1, stale-while-revalidate=600")
	}
	if w.Header().Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "max-age=600")
	}
	_, _ = io.WriteString(w, "content")
}

func (o *origin) parent(path string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.parents[path]
}

const routes = `
routes:
  - name: cached
    match: {path: /*}
    upstream: origin
    cache: {enabled: true, early_refresh: 0, stale_if_error: 0}
    coalesce: {enabled: true}
  - name: plain
    match: {path: /plain/*}
    upstream: origin
`

// gateway runs on the given further keys.
func gateway(t *testing.T, o *origin, keys string) *program.Process {
	t.Helper()
	return binary.Start(t, "version: 1\nserver: {listen: [{address: \"127.0.0.1:0\"}], trusted_proxies: [127.0.0.2/32]}\nadmin: {address: \"127.0.0.1:0\"}\n"+
		"upstreams:\n  origin: {targets: ["+o.URL+"]}\n"+keys+routes)
}

// ask sends a request and returns the response, whose body has been read.
func ask(t *testing.T, method, url string, fields ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		if req.Header.Set(fields[i], fields[i+1]); fields[i] == "Host" {
			req.Host = fields[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestSpansMakeTheTreeThatTheRequestMade(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
	for _, protocol := range []string{"http", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			c, o, redis := startCollector(t), startOrigin(t), redistest.Start(t)
			where := map[string]string{"http": "http://" + c.http, "grpc": "grpc://" + c.grpc}[protocol]
			keys := "telemetry: {service_name: edge, traces: {exporter: otlp, endpoint: \"" + where + "\", sample: 1}}\n" +
				"cache: {redis: {url: \"" + redis.URL() + "\", timeout: 5s}}\n"
			a, b := gateway(t, o, keys), gateway(t, o, keys)
			awaitRedis(t, a, b)

			// Two requests, one call.
			var both sync.WaitGroup
			both.Go(func() { ask(t, "GET", "http://"+a.Public()+"/slow", "Host", "x.test") })
			<-o.came
			both.Go(func() { ask(t, "GET", "http://"+a.Public()+"/slow", "Host", "x.test") })
			awaitMetric(t, a, "penstock_requests_waiting", "", 1)
			close(o.let)
			both.Wait()
			spans := c.await("the spans of a leader and a follower", func(s []span) bool {
				return len(named(s, "GET /*", ptrace.SpanKindServer)) == 2 && len(named(s, "cache.fill", ptrace.SpanKindInternal)) == 1
			})
			leader := one(t, "the leader", with(spans, "penstock.cache.status", "miss", ptrace.SpanKindServer))
			follower := one(t, "the follower", with(spans, "penstock.cache.status", "collapsed", ptrace.SpanKindServer))
			fill := one(t, "the fill", named(below(spans, leader), "cache.fill", ptrace.SpanKindInternal))
			call := one(t, "the call", named(below(spans, fill), "GET", ptrace.SpanKindClient, "http.request.method"))
			if want := "00-" + call.TraceID().String() + "-" + call.SpanID().String() + "-01"; o.parent("/slow") != want {
				t.Errorf("the origin was told %q, want %q", o.parent("/slow"), want)
			}
			if !follower.linksTo(fill.TraceID(), fill.SpanID()) || follower.TraceID() == leader.TraceID() {
				t.Error("the follower is not linked to the fill that it read along, or is in its trace")
			}
			one(t, "the leader's lookup in Redis", named(below(spans, leader), "GET", ptrace.SpanKindClient, "db.operation.name"))
			one(t, "the fill's lease", named(below(spans, fill), "ACQUIRE", ptrace.SpanKindClient))
			one(t, "the command that shares the response", named(below(spans, fill), "SET", ptrace.SpanKindClient))
			wantAttributes(t, leader, map[string]any{
				"http.request.method": "GET", "url.scheme": "http", "url.path": "/slow", "http.route": "/*", "http.response.status_code": int64(200), "server.address": "x.test",
				"client.address": "127.0.0.1", "network.protocol.version": "1.1", "penstock.route": "cached", "penstock.cache.coalesced": false, "penstock.cache.stored": true,
				"http.response.body.size": int64(7), "error.type": nil,
			})
			wantAttributes(t, follower, map[string]any{"penstock.cache.coalesced": true, "penstock.cache.key_hash": leader.attribute("penstock.cache.key_hash")})
			wantAttributes(t, call, map[string]any{"http.response.status_code": int64(200), "server.address": "127.0.0.1", "url.full": o.URL + "/slow"})
			wantAttributes(t, fill, map[string]any{"penstock.cache.lease": "held", "penstock.bytes_from_origin": int64(7)})
			if leader.service != "edge" {
				t.Errorf("service.name is %q", leader.service)
			}

			// Another instance has it from Redis, then from memory.
			c.traces.Reset()
			ask(t, "GET", "http://"+b.Public()+"/slow", "Host", "x.test")
			ask(t, "GET", "http://"+b.Public()+"/slow", "Host", "x.test")
			spans = c.await("two hits", func(s []span) bool { return len(with(s, "penstock.cache.status", "hit")) == 2 })
			shared := one(t, "the hit in Redis", with(spans, "penstock.cache.tier", "redis"))
			local := one(t, "the hit in memory", with(spans, "penstock.cache.tier", "memory"))
			one(t, "its lookup", below(spans, shared))
			if len(below(spans, local)) != 0 {
				t.Error("a hit in memory has called Redis or the origin")
			}
			if ttl, ok := local.attribute("penstock.cache.ttl").(float64); !ok || ttl < 500 || ttl > 600 {
				t.Errorf("its time to live is %v", local.attribute("penstock.cache.ttl"))
			}

			// A stale answer, and a refresh in a trace of its own.
			ask(t, "GET", "http://"+a.Public()+"/brief")
			time.Sleep(1100 * time.Millisecond) // max-age counts whole seconds of the real clock
			c.traces.Reset()
			ask(t, "GET", "http://"+a.Public()+"/brief")
			spans = c.await("a refresh", func(s []span) bool {
				return len(named(s, "cache.refresh", ptrace.SpanKindInternal)) == 1 && len(with(s, "penstock.cache.status", "refreshed", ptrace.SpanKindServer)) == 1
			})
			request := one(t, "the request", with(spans, "penstock.cache.status", "refreshed", ptrace.SpanKindServer))
			refresh := named(spans, "cache.refresh", ptrace.SpanKindInternal)[0]
			if !refresh.ParentSpanID().IsEmpty() || refresh.TraceID() == request.TraceID() || !refresh.linksTo(request.TraceID(), request.SpanID()) {
				t.Error("the refresh is no root that is linked to the request")
			}
			one(t, "its call", named(below(spans, refresh), "GET", ptrace.SpanKindClient, "http.request.method"))
		})
	}
}

func TestParentsAreBelievedIfTheirPeerIs(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	c, o := startCollector(t), startOrigin(t)
	g := gateway(t, o, "telemetry: {traces: {exporter: otlp, endpoint: \"http://"+c.http+"\", sample: 1}}\n")
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ask(t, "POST", "http://"+g.Public()+"/plain/1?sig=secret&b=c", "Traceparent", parent, "Tracestate", "a=b")
	spans := c.await("a request", atLeast(2))
	s := one(t, "the request", named(spans, "POST /plain/*", ptrace.SpanKindServer))
	if s.TraceID().String() == "0af7651916cd43dd8448eb211c80319c" || !s.ParentSpanID().IsEmpty() {
		t.Error("a parent that a stranger names was believed")
	}
	if s.Links().Len() != 1 || s.Links().At(0).TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
		t.Error("it is not linked to")
	}
	wantAttributes(t, s, map[string]any{"url.query": "sig=REDACTED&b=c", "penstock.cache.status": "pass", "user_agent.original": "Go-http-client/1.1"})

	trusting := binary.Start(t, "version: 1\nserver: {listen: [{address: \"127.0.0.1:0\"}], trusted_proxies: [127.0.0.1/32]}\nadmin: {address: \"127.0.0.1:0\"}\n"+
		"telemetry: {traces: {exporter: otlp, endpoint: \"http://"+c.http+"\", sample: 0, slow: 0s}}\nupstreams:\n  origin: {targets: ["+o.URL+"]}\n"+routes)
	c.traces.Reset()
	ask(t, "POST", "http://"+trusting.Public()+"/plain/0", "Traceparent", strings.TrimSuffix(parent, "1")+"0")
	if got := o.parent("/plain/0"); !strings.HasPrefix(got, "00-0af7651916cd43dd8448eb211c80319c-") || !strings.HasSuffix(got, "-00") {
		t.Errorf("the origin was told %q", got)
	}
	ask(t, "POST", "http://"+trusting.Public()+"/plain/2", "Traceparent", parent, "Tracestate", "a=b")
	spans = c.await("a request with a parent", atLeast(2))
	s = one(t, "the request", named(spans, "POST /plain/*", ptrace.SpanKindServer))
	if s.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" || s.ParentSpanID().String() != "b7ad6b7169203331" || s.TraceState().AsRaw() != "a=b" {
		t.Errorf("it is %s below %s, with %q", s.TraceID(), s.ParentSpanID(), s.TraceState().AsRaw())
	}
}

func TestFailuresAreKeptWhateverTheSample(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	c, o := startCollector(t), startOrigin(t)
	g := gateway(t, o, "telemetry: {traces: {exporter: otlp, endpoint: \"http://"+c.http+"\", sample: 0, slow: 200ms}}\n")
	ask(t, "GET", "http://"+g.Public()+"/fine")
	ask(t, "GET", "http://"+g.Public()+"/broken")
	slow := make(chan struct{})
	go func() {
		defer close(slow)
		ask(t, "GET", "http://"+g.Public()+"/slow")
	}()
	<-o.came
	time.Sleep(300 * time.Millisecond) // what makes it slow
	close(o.let)
	<-slow
	spans := c.await("a failure and a slow request", func(s []span) bool {
		return len(with(s, "url.path", "/broken")) == 1 && len(with(s, "url.path", "/slow")) == 1
	})
	if len(with(spans, "url.path", "/fine")) != 0 {
		t.Error("a request was recorded that is neither slow nor a failure")
	}
	broken := one(t, "the failure", with(spans, "url.path", "/broken"))
	if broken.Status().Code() != ptrace.StatusCodeError {
		t.Error("the failure is no error")
	}
	wantAttributes(t, broken, map[string]any{"error.type": "500"})
	if !strings.HasSuffix(o.parent("/slow"), "-00") {
		t.Errorf("the origin was told %q", o.parent("/slow"))
	}
	fill := one(t, "the slow fill", named(below(spans, one(t, "the slow request", with(spans, "url.path", "/slow"))), "cache.fill", ptrace.SpanKindInternal))
	one(t, "its call", named(below(spans, fill), "GET", ptrace.SpanKindClient))
}

func TestACollectorThatIsNotThereCostsSpansAlone(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
	t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "300")
	o := startOrigin(t)
	g := gateway(t, o, "telemetry: {traces: {exporter: otlp, endpoint: \"http://"+freeAddress(t)+"\", sample: 1}}\n")
	for range 100 {
		if resp := ask(t, "GET", "http://"+g.Public()+"/fine"); resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
	}
	awaitMetric(t, g, "penstock_spans_dropped_total", "", 50)
	g.Signal(syscall.SIGTERM)
	if code := g.Exit(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}
