package field

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
	"github.com/penstock/penstock/test/redistest"
)

// TestAChildWaitsForItsParent: writes with one value of order_by reach the origin in the order of their acceptance, whatever their paths and routes.
func TestAChildWaitsForItsParent(t *testing.T) {
	for name, paths := range map[string][]string{
		"a child": {"/w/p", "/w/p/child"}, "a grandchild": {"/w/p", "/w/p/c", "/w/p/c/d"}, "siblings": {"/w/p/a", "/w/p/b", "/w/p/a"}, "a child first": {"/w/p/a", "/w/p"},
		"a query": {"/w/p?v=1", "/w/p/c?v=2"}, "escaped": {"/w/p%20q", "/w/p%20q/c"},
	} {
		for _, kind := range queueKinds {
			t.Run(name+", queue in "+kind, func(t *testing.T) {
				gate := gatewaytest.NewGate(t)
				var mu sync.Mutex
				var came []string
				o := gatewaytest.NewOrigin(t, func(_ http.ResponseWriter, r *http.Request) {
					mu.Lock()
					came = append(came, r.URL.RequestURI())
					first := len(came) == 1
					mu.Unlock()
					if first {
						gate.Wait()
					}
				})
				g := site{gatewaytest.Start(t, orderedConfig(t, kind, o.URL))}
				g.Preload(t.Context())
				for _, p := range paths {
					put(t, g, p, "x")
				}
				gate.Came(t)
				put(t, g, "/w/other", "x") // another sequence does not wait
				gatewaytest.Eventually(t, "the other is applied", func() bool { mu.Lock(); defer mu.Unlock(); return len(came) == 2 })
				gate.Open()
				gatewaytest.Eventually(t, "all are", func() bool { mu.Lock(); defer mu.Unlock(); return len(came) == len(paths)+1 })
				got := slices.DeleteFunc(slices.Clone(came), func(p string) bool { return p == "/w/other" })
				if !slices.Equal(got, paths) {
					t.Errorf("%q came, want %q", got, paths)
				}
			})
		}
	}
}

// orderedConfig is a gateway with a queue of a kind, and a route each for parents and children, with one order.
func orderedConfig(t *testing.T, kind, origin string) string {
	top := fmt.Sprintf("writes: {path: %q}\n", filepath.Join(t.TempDir(), "w.db"))
	if kind == "redis" {
		top = "cache: {redis: {url: " + redistest.Start(t).URL() + ", timeout: 5s}}\n"
	}
	return top + "upstreams: {origin: {targets: [" + origin + "]}}\nroutes:\n" +
		"  - {name: parent, match: {path: \"/w/{p}\"}, upstream: origin, writes: {policy: behind, order_by: \"{p}\"}}\n" +
		"  - {name: child, match: {path: \"/w/{p}/*\"}, upstream: origin, writes: {policy: behind, order_by: \"{p}\"}}\n"
}

// TestTheOrderSurvivesARestart: an instance that goes on with the queue of one that ended keeps children behind their parent.
func TestTheOrderSurvivesARestart(t *testing.T) {
	for _, kind := range queueKinds {
		t.Run("queue in "+kind, func(t *testing.T) {
			gate := gatewaytest.NewGate(t)
			var mu sync.Mutex
			var came []string
			o := gatewaytest.NewOrigin(t, func(_ http.ResponseWriter, r *http.Request) {
				mu.Lock()
				came = append(came, r.URL.Path)
				mu.Unlock()
				if r.URL.Path == "/w/p" {
					gate.Wait()
				}
			})
			seen := func(path string) func() bool {
				return func() bool { mu.Lock(); defer mu.Unlock(); return slices.Contains(came, path) }
			}
			config := orderedConfig(t, kind, o.URL)
			g := site{gatewaytest.Start(t, config)}
			g.Preload(t.Context())
			want := []string{"/w/p", "/w/p/b", "/w/p/a", "/w/p/b/c"}
			for _, p := range want {
				put(t, g, p, "x")
			}
			gate.Came(t)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // the try under way is cut off
			defer cancel()
			_ = g.Gateway.Close(ctx)
			again := site{gatewaytest.Start(t, config)}
			again.Preload(t.Context())
			gate.Came(t)
			put(t, again, "/w/other", "x") // when it has come, so would have whatever does not wait
			gatewaytest.Eventually(t, "the other is applied", seen("/w/other"))
			gate.Open()
			gatewaytest.Eventually(t, "the last is applied", seen("/w/p/b/c"))
			mu.Lock()
			defer mu.Unlock()
			got := slices.Compact(slices.DeleteFunc(slices.Clone(came), func(p string) bool { return p == "/w/other" })) // the parent was tried twice
			if !slices.Equal(got, want) {
				t.Errorf("%q came, want %q", got, want)
			}
		})
	}
}

// TestAStatusOfRetryOnIsTriedAgain: and no other.
func TestAStatusOfRetryOnIsTriedAgain(t *testing.T) {
	for _, tt := range []struct {
		status int
		done   bool
	}{{404, true}, {409, true}, {423, true}, {400, false}, {422, false}} {
		var mu sync.Mutex
		calls := 0
		o := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if calls++; calls == 1 {
				w.WriteHeader(tt.status)
			}
		})
		g := site{gatewaytest.Start(t, fmt.Sprintf("writes: {path: %q}\n", filepath.Join(t.TempDir(), "w.db"))+"upstreams: {origin: {targets: ["+o.URL+"]}}\nroutes:\n"+
			"  - {name: w, match: {path: /w}, upstream: origin, writes: {policy: behind, retry_on: [404, 409, 423], queue: {backoff: 1ms}}}\n")}
		location := put(t, g, "/w", "x")
		want := map[bool]string{true: `"done"`, false: `"dead"`}[tt.done]
		gatewaytest.Eventually(t, want, func() bool { return strings.Contains(g.Get(location).Body, want) })
	}
}

// TestCheckNamesWhatIsWrongWithTheOrder: each mistake gets its place and a remedy.
func TestCheckNamesWhatIsWrongWithTheOrder(t *testing.T) {
	for writes, want := range map[string]string{
		`{policy: behind, order_by: "{user}"}`: "match.path does not capture {user}", `{policy: behind, order_by: "{id"}`: "order_by", `{policy: behind, order_by: ""}`: "order_by",
		`{policy: behind, retry_on: [200]}`: "retry_on", `{policy: behind, retry_on: [600]}`: "retry_on", `{policy: behind, retry_on: [404, 404]}`: `"404" occurs twice`, `{order_by: "{id}"}`: "order_by needs policy: behind",
		`{policy: through, retry_on: [404]}`: "retry_on needs policy: behind",
	} {
		at := filepath.Join(t.TempDir(), "gateway.yaml")
		yaml := "version: 1\nwrites: {path: /tmp/w.db}\nupstreams: {o: {targets: [\"http://127.0.0.1:1\"]}}\nroutes:\n  - {name: b, upstream: o, cache: {enabled: true}, match: {path: \"/b/{id}\"}, writes: " + writes + "}\n"
		if err := os.WriteFile(at, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(gateway.Path(), "check", at).CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v %s", writes, err, out)
		}
	}
}
