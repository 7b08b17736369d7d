package field

import (
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/test/gatewaytest"
	"github.com/penstock/penstock/test/redistest"
)

// How a reload reaches the responses that are stored.
const (
	anew   = "fetched anew"     // the next request asks the origin; if that fails, the old one is a stale answer
	judged = "judged anew"      // by its stored fields and the new rule, without a call
	apart  = "under other keys" // the old one answers no request any more, also if the origin fails
	always = "not stored"       // the rule is applied to each request or response
	fills  = "at the next fill" // like a change of the origin: purge to have it at once
)

// ruleReach says of each key of a route how a change of it reaches stored responses. TestEveryRuleOfARouteHasAReach holds it against the configuration.
var ruleReach = map[string]string{
	"name": apart, "match": always, "allow": always, "auth": apart, "rate_limit": always, "cors": anew, "merge_slashes": apart, "upstream": fills, "require_https": always, "limits": always, "timeouts": always, "upgrade": always, "writes": always, "coalesce": always,
	"aggregate": anew, "batch": anew, "paginate": anew, "rewrite": anew, "cache_control": anew, "headers.request": fills, "headers.response": anew, "errors": anew, "compress": judged,
	"cache.enabled": always, "cache.tiers": always, "cache.vary": fills, "cache.early_refresh": always, "cache.client_directives": always,
	"cache.ttl.default": judged, "cache.ttl.min": judged, "cache.ttl.max": judged, "cache.ttl.status": judged, "cache.ttl.jitter": fills,
	"cache.stale_while_revalidate": judged, "cache.stale_if_error": judged, "cache.tags": anew,
	"cache.key": apart, "cache.cookies": apart, "cache.ignore_cookies": apart, "cache.set_cookie": apart, "cache.authorization": apart, "cache.ignore_origin": apart,
}

// TestEveryRuleOfARouteHasAReach fails if ruleReach does not say how a change of some key of a route reaches stored responses.
func TestEveryRuleOfARouteHasAReach(t *testing.T) {
	var walk func(prefix string, of reflect.Type)
	walk = func(prefix string, of reflect.Type) {
		for i := range of.NumField() {
			key := of.Field(i).Tag.Get("key")
			if key == "" {
				continue
			}
			name := prefix + key
			if _, ok := ruleReach[name]; ok {
				continue
			}
			if of.Field(i).Type.Kind() != reflect.Struct {
				t.Errorf("how does a change of %s reach stored responses?", name)
				continue
			}
			walk(name+".", of.Field(i).Type)
		}
	}
	walk("", reflect.TypeFor[config.Route]())
}

// changedRule is a change of one rule, and what becomes of a stored response.
type changedRule struct {
	key, before, after string   // before and after are the rest of the flow map of cache, and may go on with another key of the route
	fields             []string // of the origin's answer
	status             int      // of it; 0: 200
	asked, again       []string // the request's fields, before and after; nil again: the same
	advance            time.Duration
	hit                bool                               // the stored response still answers
	check              func(r *gatewaytest.Response) bool // of the answer after the change; may be nil
	// kept is set if the stored response answers when the origin fails.
	kept bool
}

var day = []string{"Cache-Control", "max-age=86400", "Etag", `"1"`}

var changedRules = []changedRule{
	{key: "cache.ttl.max", before: "ttl: {}", after: "ttl: {max: 60s}", fields: day, advance: 90 * time.Second, kept: true},
	{key: "cache.ttl.max", before: "ttl: {}", after: "ttl: {max: 60s}", fields: day, advance: 30 * time.Second, hit: true, kept: true},
	{key: "cache.ttl.max", before: "ttl: {max: 60s}", after: "ttl: {}", fields: day, advance: 90 * time.Second, hit: true, kept: true},
	{key: "cache.ttl.min", before: "ttl: {}", after: "ttl: {min: 100s}", fields: []string{"Cache-Control", "max-age=10"}, advance: 50 * time.Second, hit: true, kept: true},
	{key: "cache.ttl.min", before: "ttl: {min: 100s}", after: "ttl: {}", fields: []string{"Cache-Control", "max-age=10"}, advance: 50 * time.Second, kept: true},
	{key: "cache.ttl.default", before: "ttl: {default: 1h}", after: "ttl: {default: 10s}", advance: 50 * time.Second, kept: true},
	{key: "cache.ttl.default", before: "ttl: {default: 10s}", after: "ttl: {default: 1h}", advance: 50 * time.Second, hit: true, kept: true},
	{key: "cache.ttl.default", before: "ttl: {default: 1h}", after: "ttl: {}", advance: 5 * time.Second},
	{key: "cache.ttl.status", before: "ttl: {status: {404: 1h}}", after: "ttl: {status: {404: 10s}}", status: 404, advance: 50 * time.Second, kept: true},
	{key: "cache.ttl.status", before: "ttl: {status: {503: 1h}}", after: "ttl: {}", status: 503, advance: time.Second},
	{key: "cache.stale_while_revalidate", before: "stale_while_revalidate: 0s", after: "stale_while_revalidate: 1h", fields: []string{"Cache-Control", "max-age=10"}, advance: 50 * time.Second, hit: true, kept: true},
	{key: "cache.stale_while_revalidate", before: "stale_while_revalidate: 1h", after: "stale_while_revalidate: 0s", fields: []string{"Cache-Control", "max-age=10"}, advance: 50 * time.Second, kept: true},
	{key: "cache.stale_if_error", before: "stale_if_error: 1h", after: "stale_if_error: 5s", fields: []string{"Cache-Control", "max-age=10"}, advance: 50 * time.Second},
	{key: "cache.stale_if_error", before: "stale_if_error: 5s", after: "stale_if_error: 1h", fields: []string{"Cache-Control", "max-age=10"}, advance: 50 * time.Second, kept: true},
	{key: "compress", before: "ttl: {}", after: "ttl: {}}\n    compress: {min_size: 1", fields: day, asked: []string{"Accept-Encoding", "gzip"}, hit: true, kept: true,
		check: func(r *gatewaytest.Response) bool {
			return r.Header.Get("Content-Encoding") == "gzip" && r.Header.Get("Vary") == "Accept-Encoding"
		}},
	{key: "cache.cookies", before: "cookies: ignore, ttl: {default: 1h}", after: "ttl: {default: 1h}", asked: []string{"Cookie", "session=alice"}, again: []string{}},
	{key: "cache.cookies", before: "cookies: ignore, ttl: {default: 1h}", after: "cookies: bypass, ttl: {default: 1h}", asked: []string{"Cookie", "session=alice"}, again: []string{}},
	{key: "cache.ignore_cookies", before: "ignore_cookies: [s*], ttl: {default: 1h}", after: "ttl: {default: 1h}", asked: []string{"Cookie", "session=alice"}, again: []string{}},
	{key: "cache.set_cookie", before: "set_cookie: store", after: "set_cookie: pass", fields: append(day, "Set-Cookie", "a=1")},
	{key: "cache.set_cookie", before: "set_cookie: store", after: "set_cookie: strip", fields: append(day, "Set-Cookie", "a=1")},
	{key: "cache.ignore_origin", before: "ignore_origin: true, ttl: {default: 1h}", after: "ttl: {default: 1h}", fields: []string{"Cache-Control", "private"}},
	{key: "cache.authorization", before: "authorization: rfc", after: "authorization: never", fields: []string{"Cache-Control", "public, max-age=3600"}, asked: []string{"Authorization", "Basic YTpi"}, again: []string{}},
	{key: "cache.authorization", before: "authorization: key, ttl: {default: 1h}", after: "ttl: {default: 1h}", asked: []string{"Authorization", "Basic YTpi"}},
	{key: "cache.key", before: "ttl: {default: 1h}", after: "ttl: {default: 1h}, key: {headers: [X-Tenant]}"},
	{key: "cache.key", before: "ttl: {default: 1h}", after: "ttl: {default: 1h}, key: {cookies: [session]}"},
	{key: "headers.request", before: "ttl: {default: 1h}}\n    headers: {request: {remove: [Cookie]}", after: "ttl: {default: 1h}", asked: []string{"Cookie", "session=alice"}, again: []string{}},
	{key: "headers.request", before: "ttl: {default: 1h}", after: `ttl: {default: 1h}}` + "\n" + `    headers: {request: {set: {X-A: "1"}}`, hit: true, kept: true},
	{key: "cors", before: "ttl: {default: 1h}", after: "ttl: {default: 1h}}\n    cors: {origins: ['https://a.example']", kept: true},
	{key: "cors", before: "ttl: {default: 1h}}\n    cors: {origins: ['https://a.example']", after: "ttl: {default: 1h}}\n    cors: {origins: ['https://b.example']", asked: []string{"Origin", "https://b.example"}, hit: true, kept: true,
		check: func(r *gatewaytest.Response) bool {
			return r.Header.Get("Access-Control-Allow-Origin") == "https://b.example"
		}},
	{key: "cache.tags", before: "ttl: {default: 1h}", after: "ttl: {default: 1h}, tags: {from: [all]}", kept: true},
	{key: "rewrite", before: "ttl: {default: 1h}", after: "ttl: {default: 1h}}\n    rewrite: {add_prefix: /new", kept: true},
	{key: "cache_control", before: "ttl: {default: 1h}", after: "ttl: {default: 1h}}\n    cache_control: [{set: 'max-age=5'}]\n    limits: {", kept: true},
}

// TestChangedRulesReachWhatIsStored changes one rule after the other: by a reload, and by another instance with other rules beside the same Redis.
func TestChangedRulesReachWhatIsStored(t *testing.T) {
	redis := redistest.Start(t)
	for i, c := range changedRules {
		for _, way := range []string{"reload", "another instance"} {
			for _, failing := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d %s/%s/failing=%v", i, c.key, way, failing), func(t *testing.T) { c.test(t, redis, way, failing) })
			}
		}
	}
}

func (c *changedRule) test(t *testing.T, redis *redistest.Server, way string, failing bool) {
	content := strings.Repeat("text ", 100)
	answer := func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(c.fields); i += 2 {
			w.Header().Set(c.fields[i], c.fields[i+1])
		}
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(max(c.status, http.StatusOK))
		_, _ = w.Write([]byte(content)) // the client's going is not the origin's concern
	}
	origin := gatewaytest.NewOrigin(t, answer)
	prefix := fmt.Sprint("rules", time.Now().UnixNano())
	yaml := func(rules string) string {
		tier := ""
		if way != "reload" {
			tier = fmt.Sprintf(", redis: {url: %q, prefix: %q, timeout: 5s}", redis.URL(), prefix)
		}
		return "cache: {memory: {size: 64MiB, max_object: 1MiB}" + tier + "}\nupstreams:\n  origin: {targets: [" + origin.URL + "]}\n" +
			"routes:\n  - name: all\n    match: {path: /*}\n    upstream: origin\n    cache: {enabled: true, " + rules + "}\n"
	}
	first := append([]string{"Host", "shop.test"}, c.asked...)
	second := first
	if c.again != nil {
		second = append([]string{"Host", "shop.test"}, c.again...)
	}
	a := gatewaytest.Start(t, yaml(c.before))
	a.Preload(t.Context())
	for range 2 {
		a.Get("/p", first...)
	}
	if n := origin.Calls(); n != 1 {
		t.Fatalf("%d calls before the change: nothing is stored", n)
	}
	b := a
	if way == "reload" {
		cfg, err := config.Parse("gateway.yaml", []byte("version: 1\n"+yaml(c.after)), os.LookupEnv, os.ReadFile)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Apply(cfg); err != nil {
			t.Fatal(err)
		}
	} else {
		gatewaytest.Eventually(t, "the response is shared", func() bool { return a.Fills.Load() == 1 })
		b = gatewaytest.Start(t, yaml(c.after))
		b.Preload(t.Context())
	}
	b.Clock.Advance(c.advance)
	if failing {
		origin.Answer(broken)
	}
	r := b.Get("/p", second...)
	if failing {
		if served := r.Status < 500; served != c.kept {
			t.Errorf("with an origin that fails: %d (%s)", r.Status, r.Header.Get("Cache-Status"))
		}
		c.wantOldAge(t, r)
		return
	}
	if r.Hit() != c.hit || !c.hit && origin.Calls() != 2 {
		t.Errorf("hit %v, want %v; %d calls (%s)", r.Hit(), c.hit, origin.Calls(), r.Header.Get("Cache-Status"))
	}
	if c.check != nil && !c.check(r) {
		t.Errorf("%v", r.Header)
	}
	if again := b.Get("/p", second...); c.hit && !again.Hit() {
		t.Errorf("the second: %s", again.Header.Get("Cache-Status"))
	}
}

// wantOldAge wants a stale answer to be one for every cache behind: its Age is at least the lifetime that its fields promise.
func (c *changedRule) wantOldAge(t *testing.T, r *gatewaytest.Response) {
	if r.Status >= 500 || c.hit || !strings.HasPrefix(r.Header.Get("Cache-Control"), "max-age=") {
		return
	}
	age, err := strconv.Atoi(r.Header.Get("Age"))
	told, err2 := strconv.Atoi(strings.TrimPrefix(r.Header.Get("Cache-Control"), "max-age="))
	if err != nil || err2 != nil || age < told {
		t.Errorf("Age: %d beside %s", age, r.Header.Get("Cache-Control"))
	}
}
