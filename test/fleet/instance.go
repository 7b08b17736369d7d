package fleet

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/load/program"
)

// Host is the host that clients request. It is the same for all instances, whatever their
// addresses, because it is part of the cache key.
const Host = "fleet.test"

// Setup is the configuration of an instance.
type Setup struct {
	Origin string // URL of the origin
	Redis  string // URL of Redis; "" if there is none
	Tier   string // further keys of cache.redis, such as "timeout: 1s, preload: 5"
	Cache  string // further keys of every route's cache, such as "tiers: [redis]"
	Routes string // further routes, in YAML
}

// Instance is a running gateway.
type Instance struct {
	*program.Process
	Name   string
	URL    string // of the public listener
	Admin  string // of the admin listener
	client *http.Client
	t      testing.TB
}

// Gateway is the built program.
type Gateway struct {
	*program.Binary
	Path string
}

// Build builds the program into dir.
func Build(dir string) (*Gateway, error) {
	b, err := program.Build(dir, false)
	return &Gateway{b, filepath.Join(dir, "penstock")}, err
}

// At returns a program that was built before.
func At(path string) *Gateway { return &Gateway{program.At(path), path} }

// Start runs an instance and gives the origin its name. The instance stops when the test ends.
func (g *Gateway) Start(t testing.TB, name string, s Setup) *Instance {
	t.Helper()
	p := g.Binary.Start(t, s.yaml(name))
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 4096}
	t.Cleanup(transport.CloseIdleConnections)
	return &Instance{
		Process: p, Name: name, URL: "http://" + p.Public(), Admin: "http://" + p.Admin(), t: t,
		client: &http.Client{Transport: transport, Timeout: 30 * time.Second},
	}
}

func (s Setup) yaml(name string) string {
	cache := "enabled: true, early_refresh: 0, set_cookie: pass"
	if s.Cache != "" {
		cache += ", " + s.Cache
	}
	redis := ""
	if s.Redis != "" {
		redis = fmt.Sprintf("\n  redis: {url: %q", s.Redis)
		if s.Tier != "" {
			redis += ", " + s.Tier
		}
		redis += "}"
	}
	return fmt.Sprintf(`version: 1
server:
  listen: [{address: "127.0.0.1:0"}]
  timeouts: {drain: 1s}
admin: {address: "127.0.0.1:0"}
cache:
  memory: {size: 64MiB}%s
upstreams:
  origin: {targets: [%q], pool: {max: 4096}, preserve_host: true}
defaults:
  upstream: origin
  cache: {%s}
  headers: {request: {set: {%s: %s}}}
routes:
%s  - {name: rest, match: {path: /*}}
`, redis, s.Origin, cache, hidden, name, indent(s.Routes))
}

// indent indents lines to the depth of a list of routes.
func indent(yaml string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.Trim(yaml, "\n")) {
		b.WriteString("  " + strings.TrimRight(line, "\n") + "\n")
	}
	return b.String()
}

// Fleet is a group of instances that share a Redis.
type Fleet []*Instance

// StartFleet runs an instance for each name. When it returns, all instances know each other.
func (g *Gateway) StartFleet(t testing.TB, s Setup, names ...string) Fleet {
	t.Helper()
	f := make(Fleet, len(names))
	for i, name := range names {
		f[i] = g.Start(t, name, s)
	}
	f.Meet(t)
	return f
}

// Meet waits until a purge reaches all instances of the fleet.
func (f Fleet) Meet(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(program.Patience); ; time.Sleep(5 * time.Millisecond) {
		a := f[0].Purge(Purge{URL: "http://" + Host + "/nobody/asks/for/this", Wait: "100ms"})
		if a.Status == http.StatusOK && a.Instances == len(f) && a.Applied == len(f) {
			return
		}
		if time.Now().After(end) || a.Status == http.StatusNotFound {
			t.Fatalf("the %d instances do not find each other: %+v", len(f), a)
		}
	}
}
