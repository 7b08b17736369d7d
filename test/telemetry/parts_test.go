package telemetry

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/penstock/penstock/test/redistest"
)

const partRoutes = `
routes:
  - name: page
    match: {path: "/page/{id}", methods: [GET]}
    aggregate:
      parts:
        one: {upstream: origin, path: "/one/{id}"}
        two: {upstream: origin, path: "/two?u={query.u}"}
        three: {upstream: origin, path: /three}
  - name: list
    match: {path: "/list", methods: [GET]}
    aggregate:
      parts:
        ids: {upstream: origin, path: /ids}
        items: {foreach: "ids.#", batch: item}
  - name: item
    match: {path: "/item/{id}", methods: [GET]}
    batch: {upstream: origin, path: "/items?ids={ids}", window: 500ms, key: id}
  - name: behind
    match: {path: "/w/{id}"}
    upstream: origin
    writes: {policy: behind}
`

// TestSpansOfParts: a request that fans out to three parts, of which one is coalesced and one comes from Redis; a batch, linked to its members; and a
// queued write, linked to what has queued it.
func TestSpansOfParts(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	came, let := make(chan struct{}, 4), make(chan struct{})
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=600")
		switch r.URL.Path {
		case "/one/2":
			came <- struct{}{}
			<-let
		case "/three":
			w.Header().Set("Cache-Control", "no-store")
		case "/ids":
			fmt.Fprint(w, `[1,2,3]`)
			return
		case "/items":
			fmt.Fprint(w, `[{"id":1},{"id":2},{"id":3}]`)
			return
		}
		fmt.Fprintf(w, "%q", r.URL.RequestURI())
	}))
	defer o.Close()
	c, redis := startCollector(t), redistest.Start(t)
	yaml := "version: 1\nserver: {listen: [{address: \"127.0.0.1:0\"}]}\nadmin: {address: \"127.0.0.1:0\"}\nupstreams:\n  origin: {targets: [" + o.URL + "]}\n" +
		"telemetry: {traces: {exporter: otlp, endpoint: \"http://" + c.http + "\", sample: 1}}\ncache: {redis: {url: \"" + redis.URL() + "\", timeout: 5s}}\n" + partRoutes
	a, b := binary.Start(t, yaml), binary.Start(t, yaml)
	awaitRedis(t, a, b)
	ask(t, "GET", "http://"+b.Public()+"/page/1?u=1", "Host", "x.test") // part two of it is in Redis from now on
	c.await("the first page", func(s []span) bool { return len(named(s, "GET /page/{id}", ptrace.SpanKindServer)) == 1 })
	c.traces.Reset()

	var both sync.WaitGroup
	both.Go(func() { ask(t, "GET", "http://"+a.Public()+"/page/2?u=2", "Host", "x.test") })
	<-came
	both.Go(func() { ask(t, "GET", "http://"+a.Public()+"/page/2?u=1", "Host", "x.test") })
	awaitMetric(t, a, "penstock_requests_waiting", "", 1)
	close(let)
	both.Wait()
	spans := c.await("two pages", func(s []span) bool {
		return len(named(s, "GET /page/{id}", ptrace.SpanKindServer)) == 2 && len(named(s, "cache.fetch", ptrace.SpanKindInternal)) == 6
	})
	leader := one(t, "the leader", with(spans, "url.query", "u=2", ptrace.SpanKindServer))
	page := one(t, "the page", with(spans, "url.query", "u=1", ptrace.SpanKindServer))
	part := func(of span, name string) span {
		return one(t, name, with(named(below(spans, of), "cache.fetch", ptrace.SpanKindInternal), "penstock.route", "page/"+name))
	}
	if n := len(below(spans, page)); n != 3 {
		t.Errorf("%d spans below the page, want its three parts", n)
	}
	fill := one(t, "the fill of part one", named(below(spans, part(leader, "one")), "cache.fill", ptrace.SpanKindInternal))
	first := part(page, "one")
	if !first.linksTo(fill.TraceID(), fill.SpanID()) {
		t.Error("the part that was coalesced is not linked to the fill that it read along")
	}
	wantAttributes(t, first, map[string]any{"penstock.cache.status": "collapsed", "penstock.cache.coalesced": true})
	second := part(page, "two")
	wantAttributes(t, second, map[string]any{"penstock.cache.status": "hit", "penstock.cache.tier": "redis"})
	one(t, "its lookup in Redis", named(below(spans, second), "GET", ptrace.SpanKindClient, "db.operation.name"))
	third := one(t, "the fill of part three", named(below(spans, part(page, "three")), "cache.fill", ptrace.SpanKindInternal))
	one(t, "its call", named(below(spans, third), "GET", ptrace.SpanKindClient, "http.request.method"))

	c.traces.Reset()
	ask(t, "GET", "http://"+a.Public()+"/list")
	spans = c.await("a batch", func(s []span) bool {
		return len(named(s, "batch.flush", ptrace.SpanKindInternal)) == 1 && len(named(s, "GET /list", ptrace.SpanKindServer)) == 1
	})
	flush := named(spans, "batch.flush", ptrace.SpanKindInternal)[0]
	list := one(t, "the list", named(spans, "GET /list", ptrace.SpanKindServer))
	if !flush.ParentSpanID().IsEmpty() || flush.Links().Len() != 3 {
		t.Errorf("the batch has the parent %s and %d links, want a root with 3", flush.ParentSpanID(), flush.Links().Len())
	}
	for i := range flush.Links().Len() {
		if flush.Links().At(i).TraceID() != list.TraceID() {
			t.Error("a link of the batch leads elsewhere than to its members")
		}
	}
	one(t, "the batch's call", named(below(spans, flush), "GET", ptrace.SpanKindClient, "http.request.method"))

	c.traces.Reset()
	ask(t, "PUT", "http://"+a.Public()+"/w/1")
	spans = c.await("a write", func(s []span) bool {
		return len(named(s, "write.apply", ptrace.SpanKindInternal)) == 1 && len(named(s, "PUT /w/{id}", ptrace.SpanKindServer)) == 1
	})
	accepted := one(t, "the request that queued the write", named(spans, "PUT /w/{id}", ptrace.SpanKindServer))
	apply := named(spans, "write.apply", ptrace.SpanKindInternal)[0]
	if !apply.ParentSpanID().IsEmpty() || !apply.linksTo(accepted.TraceID(), accepted.SpanID()) {
		t.Error("the write is no root span with a link to the request that queued it")
	}
	call := one(t, "the write's call", named(below(spans, apply), "PUT", ptrace.SpanKindClient))
	if got := call.attribute("url.full"); !strings.HasSuffix(fmt.Sprint(got), "/w/1") {
		t.Errorf("it went to %v", got)
	}
}
