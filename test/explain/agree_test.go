package explain

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/proxy/explain"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/test/gatewaytest"
)

// cases is how many configurations are drawn, each with some requests.
const cases = 1000

// batch is how many of them each run of the property takes: rapid runs it a hundred times by itself.
const batch = cases / 100

// TestExplainAgrees: what Explain says of a request is what the gateway then does: route, key, decision, coding, status and the whole of Cache-Status.
func TestExplainAgrees(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, nothing)
	requests, hits, stored := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		n := batch
		if testing.Short() {
			n = 1
		}
		for range n {
			c := run(t, rt, origin)
			requests, hits, stored = requests+c.requests, hits+c.hits, stored+c.stored
		}
	})
	t.Logf("%d requests, %d of them hits, %d stored", requests, hits, stored)
	if requests > cases && (hits < requests/20 || stored < requests/10) {
		t.Errorf("of %d requests %d were hits and %d stored: the cases are not telling", requests, hits, stored)
	}
}

// run compares one configuration.
func run(t *testing.T, rt *rapid.T, origin *gatewaytest.Origin) *comparison {
	in := &scope{TB: t, rt: rt}
	defer in.end()
	yaml := configuration(origin.URL, someRoutes(rt))
	c := &comparison{t: in, rt: rt, g: gatewaytest.Start(in, yaml), origin: origin, yaml: yaml}
	for range rapid.IntRange(2, 4).Draw(rt, "requests") {
		c.requests++
		c.next()
	}
	return c
}

// scope is a test within one run of a property: what it starts ends with it.
type scope struct {
	testing.TB
	rt       *rapid.T
	cleanups []func()
}

func (s *scope) Cleanup(f func())             { s.cleanups = append(s.cleanups, f) }
func (s *scope) Fatal(args ...any)            { s.rt.Fatal(args...) }
func (s *scope) Fatalf(f string, args ...any) { s.rt.Fatalf(f, args...) }
func (s *scope) Errorf(f string, args ...any) { s.rt.Errorf(f, args...) }

func (s *scope) end() {
	for _, f := range slices.Backward(s.cleanups) {
		f()
	}
}

func nothing(http.ResponseWriter, *http.Request) {}

// comparison is a gateway whose deeds are compared with its words.
type comparison struct {
	t      *scope
	rt     *rapid.T
	g      *gatewaytest.Gateway
	origin *gatewaytest.Origin
	yaml   string
	last   *explain.Question

	requests, hits, stored int
}

// next explains a request, sends it, and compares.
func (c *comparison) next() {
	ask := someRequest(c.rt)
	if c.last != nil && rapid.IntRange(0, 3).Draw(c.rt, "again") > 0 {
		ask = *c.last
	}
	c.last = &ask
	c.g.Clock.Advance(time.Duration(pick(c.rt, "later", 0, 0, 0, 3, 15, 45, 80)) * time.Second)
	answer := someAnswer(c.rt)
	c.origin.Answer(answer.ServeHTTP)
	before, err := c.g.Explain(context.Background(), ask)
	if err != nil {
		c.t.Fatalf("%v: %+v", err, ask)
	}
	fields := headerOf(ask.Header)
	if before.Decision != nil {
		if before.Decision.Action == "fetch" || before.Decision.Action == "revalidate" {
			if ask.Method == http.MethodGet {
				fields.Del("If-None-Match")
			}
			for name, values := range headerOf(before.Decision.Asks) {
				fields[name] = values
			}
		}
	}
	asked := ask
	asked.Response = answer.to(fields)
	said, err := c.g.Explain(context.Background(), asked)
	if err != nil {
		c.t.Fatalf("%v: %+v", err, asked)
	}
	c.compare(said, &asked)
}

// compare sends the request and holds what was said against what is done.
func (c *comparison) compare(said *explain.Explanation, ask *explain.Question) {
	host, path := strings.TrimPrefix(ask.URL, "http://"), ""
	if i := strings.IndexByte(host, '/'); i >= 0 {
		host, path = host[:i], host[i:]
	}
	fields := []string{"Host", host}
	for _, line := range ask.Header {
		name, value, _ := strings.Cut(line, ": ")
		fields = append(fields, name, value)
	}
	done := c.g.Do(ask.Method, path, nil, fields...)
	if done.Err != nil {
		c.t.Fatal(done.Err)
	}
	ev := c.g.Event()
	gatewaytest.Eventually(c.t, "no fill is under way", func() bool { return c.g.Filling() == 0 })
	c.check("route", said.Route, ev.Route, said, ask)
	if said.Refused != nil {
		c.check("status", said.Refused.Status, done.Status, said, ask)
		return
	}
	if said.Key != nil {
		c.check("key", said.Key.Hash, ev.KeyHash, said, ask)
		c.check("action", said.Decision.Action, ev.Action, said, ask)
	}
	if !said.Answer.Whole {
		return
	}
	c.check("Cache-Status", said.Answer.CacheStatus, done.Header.Get("Cache-Status"), said, ask)
	c.check("status", said.Answer.Status, done.Status, said, ask)
	c.coding(said, ask, done, &ev)
	if said.Answer.Hit {
		c.hits++
	}
	if strings.Contains(said.Answer.CacheStatus, "; stored") {
		c.stored++
	}
}

// coding compares that of a whole answer; a small body that does not shrink is sent as it is.
func (c *comparison) coding(said *explain.Explanation, ask *explain.Question, done *gatewaytest.Response, _ *observe.Event) {
	if said.Coding == nil || done.Status != http.StatusOK || ask.Method != http.MethodGet || len(done.Body) == 0 {
		return
	}
	sent := done.Header.Get("Content-Encoding")
	if sent == "" {
		sent = "identity"
	}
	c.check("coding", said.Coding.Sent, sent, said, ask)
}

func (c *comparison) check(what string, said, done any, e *explain.Explanation, ask *explain.Question) {
	if said != done {
		c.t.Helper()
		c.rt.Fatalf("%s: said %v, done %v\n%+v\n%+v\n%+v\ndecision %+v\nresponse %+v\nanswer %+v", what, said, done, c.yaml, ask, ask.Response, e.Decision, e.Response, e.Answer)
	}
}

// TestRemediesHold: the keys that Explain says a route needs make the gateway answer the like of the request from the cache.
func TestRemediesHold(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, nothing)
	tried := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		routes := []any{someRoute(rt, "all", tree{"path": "/*"})}
		delete(routes[0].(tree), "errors")
		ask, answer := someRequest(rt), someAnswer(rt)
		ask.Method, answer.status = http.MethodGet, pick(rt, "remedied", 200, 404)
		answer.body, answer.etag = "content", ""
		ask.Header = without(ask.Header, "Range", "If-None-Match", "Cache-Control: only-if-cached") // which never has anything stored
		ask.Response = answer.to(nil)
		func() {
			t := &scope{TB: t, rt: rt}
			defer t.end()
			said, err := gatewaytest.Start(t, configuration(origin.URL, routes)).Explain(context.Background(), ask)
			if err != nil {
				t.Fatal(err)
			}
			if !said.Cacheable {
				return
			}
			for _, r := range said.Remedies {
				tried[r.Reason]++
			}
			if said.YAML != "" {
				var keys tree
				if err := yaml.Unmarshal([]byte(said.YAML), &keys); err != nil {
					t.Fatalf("%v:\n%s", err, said.YAML)
				}
				merge(routes[0].(tree), textKeys(keys).(tree))
			}
			text := configuration(origin.URL, routes)
			g := gatewaytest.Start(t, text)
			origin.Answer(answer.ServeHTTP)
			c := &comparison{t: t, rt: rt, g: g, yaml: text}
			for _, hit := range []bool{false, true} {
				now, err := g.Explain(context.Background(), ask)
				if err != nil {
					t.Fatal(err)
				}
				if now.Answer.Hit != hit {
					rt.Fatalf("hit %v, want %v, with\n%s\n%s\n%+v %+v\n%+v", now.Answer.Hit, hit, said.YAML, text, ask, ask.Response, now.Response)
				}
				c.compare(now, &ask)
			}
		}()
	})
	t.Logf("remedies tried: %v", tried)
}

func without(lines []string, names ...string) (kept []string) {
	for _, line := range lines {
		drop := false
		for _, name := range names {
			drop = drop || line == name || strings.HasPrefix(line, name+":")
		}
		if !drop {
			kept = append(kept, line)
		}
	}
	return kept
}

// merge puts keys into a route as a person would paste them: maps key by key, lists in front.
func merge(into, keys tree) {
	for k, v := range keys {
		switch v := v.(type) {
		case tree:
			have, ok := into[k].(tree)
			if !ok {
				have = tree{}
				into[k] = have
			}
			merge(have, v)
		case []any:
			switch have := into[k].(type) {
			case []any:
				v = append(v, have...)
			case []string:
				for _, s := range have {
					v = append(v, s)
				}
			}
			into[k] = v
		default:
			into[k] = v
		}
	}
}

// textKeys is v with the keys of maps as text: a status is written as a number.
func textKeys(v any) any {
	out := tree{}
	switch v := v.(type) {
	case tree:
		for k, value := range v {
			out[k] = textKeys(value)
		}
	case map[any]any:
		for k, value := range v {
			out[fmt.Sprint(k)] = textKeys(value)
		}
	default:
		return v
	}
	return out
}
