package config

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// parse parses a text that must be valid.
func parse(t *testing.T, src string) *Config {
	t.Helper()
	c, err := Parse("test.yaml", []byte(src), environment, secrets)
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	return c
}

// TestDefaults checks the documented defaults.
func TestDefaults(t *testing.T) {
	c := parse(t, someUpstream+someRoute)
	want := Server{
		Listen:   []Listener{{Address: "127.0.0.1:8080", Wire: true}},
		Limits:   Limits{32 << 10, 16 << 20, 8 << 10, 1000, 20000},
		Timeouts: ServerTimeouts{5 * time.Second, 0, 30 * time.Second, 0, time.Minute, 2 * time.Minute, 30 * time.Second},
	}
	if diff := cmp.Diff(want, c.Server); diff != "" {
		t.Error(diff)
	}
	if c.Version != 1 || c.Admin != (Admin{Address: "127.0.0.1:9901"}) || c.Cache.Memory != (MemoryStore{256 << 20, 8 << 20}) {
		t.Errorf("%+v %+v", c.Admin, c.Cache)
	}
	u := c.Upstreams["web"]
	if u.Name != "web" || u.Balance != BalanceP2C || u.Protocol != ProtocolH1 || u.Targets[0].Weight != 1 ||
		u.Timeouts != (UpstreamTimeouts{time.Second, time.Minute, time.Minute, 0}) ||
		u.Pool != (Pool{0, 512, 90 * time.Second, time.Second, 10_000}) {
		t.Errorf("%+v", u)
	}
	r := c.Routes[0]
	if r.Cache.Enabled || r.Coalesce.Enabled || r.Compress.Enabled || r.Upgrade != UpgradeOff || r.RequireHTTPS != RequireHTTPSOff {
		t.Errorf("something is on by itself: %+v", r)
	}
	if r.Limits.BodyBytes != 16<<20 || r.Cache.StaleIfError != 10*time.Minute || r.Cache.EarlyRefresh != 1 || r.Cache.Vary.MaxVariants != 32 ||
		!reflect.DeepEqual(r.Cache.Tiers, []Tier{TierMemory}) || r.Coalesce.MaxWaiters != 10_000 || r.Coalesce.Wait != 10*time.Second {
		t.Errorf("%+v", r)
	}
}

// TestDependentDefaults checks the defaults that depend on other keys.
func TestDependentDefaults(t *testing.T) {
	tests := []struct {
		name, defaults, route     string
		cache, coalesce, compress bool
	}{
		{"nothing", "", "", false, false, false},
		{"coalesce is on where the cache is", "", "cache: {enabled: true}", true, true, false},
		{"unless it says no", "", "cache: {enabled: true}, coalesce: {enabled: false}", true, false, false},
		{"its other keys do not turn it off", "", "cache: {enabled: true}, coalesce: {wait: 1s}", true, true, false},
		{"compress is on where it is written", "", "compress: {}", false, false, true},
		{"unless it says no", "", "compress: {enabled: false}", false, false, false},
		{"also from defaults", "compress: {min_size: 1}", "", false, false, true},
		{"a route says no to defaults", "compress: {}", "compress: {enabled: false}", false, false, false},
		{"cache from defaults", "cache: {enabled: true}", "", true, true, false},
		{"a route without it", "cache: {enabled: true}", "cache: {enabled: false}", false, false, false},
		{"settings alone turn nothing on", "cache: {stale_if_error: 1s}", "", false, false, false},
		{"they wait for a route", "cache: {stale_if_error: 1s}", "cache: {enabled: true}", true, true, false},
		{"coalesce of defaults means routes with a cache", "coalesce: {enabled: true}", "", false, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := someUpstream + "defaults: {" + tt.defaults + "}\nroutes: [{name: all, match: {path: /*}, upstream: web, " + tt.route + "}]\n"
			r := parse(t, src).Routes[0]
			if r.Cache.Enabled != tt.cache || r.Coalesce.Enabled != tt.coalesce || r.Compress.Enabled != tt.compress {
				t.Errorf("cache %v, coalesce %v, compress %v", r.Cache.Enabled, r.Coalesce.Enabled, r.Compress.Enabled)
			}
		})
	}
}

// TestDefaultsMerge checks that maps are merged key by key, while lists and single values are
// replaced.
func TestDefaultsMerge(t *testing.T) {
	c := parse(t, someUpstream+`
server: {limits: {body_bytes: 1MiB}}
defaults:
  upstream: web
  cache: {enabled: true, ttl: {default: 5s, max: 1h, status: {404: 1s, 410: 2s}}, key: {headers: [X-A]}}
  headers: {response: {set: {X-One: a, X-Two: b}, remove: [Server]}}
  errors: [{status: [500], body: shared}]
routes:
  - name: own
    match: {path: /own}
    cache: {ttl: {default: 9s, status: {404: 3s}}, key: {headers: [X-B, X-C]}}
    headers: {response: {set: {x-two: c}, remove: [Via]}}
    errors: [{status: [404], body: own}]
    limits: {body_bytes: 0}
  - {name: bare, match: {path: /bare}}
`)
	own, bare := c.Routes[0], c.Routes[1]
	if got := own.Cache.TTL; got.Default != 9*time.Second || got.Max != time.Hour ||
		!reflect.DeepEqual(got.Status, map[int]time.Duration{404: 3 * time.Second, 410: 2 * time.Second}) {
		t.Errorf("ttl %+v", got)
	}
	if got := own.Cache.Key.Headers; !reflect.DeepEqual(got, []string{"X-B", "X-C"}) {
		t.Errorf("key headers %v", got)
	}
	if got := own.Headers.Response; !reflect.DeepEqual(got.Set, map[string]string{"X-One": "a", "X-Two": "c"}) || !reflect.DeepEqual(got.Remove, []string{"Via"}) {
		t.Errorf("response %+v", got)
	}
	if own.Errors[0].Body != "own" || len(own.Errors) != 1 || own.Limits.BodyBytes != 0 || own.Upstream != "web" || !own.Cache.Enabled {
		t.Errorf("%+v", own)
	}
	if bare.Cache.TTL.Default != 5*time.Second || bare.Errors[0].Body != "shared" || bare.Limits.BodyBytes != 1<<20 || len(bare.Headers.Response.Set) != 2 {
		t.Errorf("%+v", bare)
	}
	own.Headers.Response.Set["X-One"] = "changed"
	if bare.Headers.Response.Set["X-One"] != "a" {
		t.Error("two routes share a map")
	}
}

// TestGatewayYAML parses the configuration that `penstock run` starts with, with an empty
// environment.
func TestGatewayYAML(t *testing.T) {
	c, err := parseFile(t, "../gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Server.Listen[0].Address; got != "127.0.0.1:8080" {
		t.Errorf("listens on %s", got)
	}
	for name, want := range map[string]string{"api": "http://127.0.0.1:7001", "orders": "http://127.0.0.1:7002", "web": "http://127.0.0.1:7003"} {
		if got := c.Upstreams[name].Targets[0].URL.String(); got != want {
			t.Errorf("%s is %s", name, got)
		}
	}
}
