package field

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckWarnsOfAQueueThatOtherInstancesDoNotKnow: a queue in a file beside a shared tier is allowed, and told.
func TestCheckWarnsOfAQueueThatOtherInstancesDoNotKnow(t *testing.T) {
	const file, redis = "writes: {path: /tmp/w.db}\n", "cache: {redis: {url: \"redis://127.0.0.1:1\"}}\n"
	for name, c := range map[string]struct {
		top, route string
		warns      bool
	}{
		"file and Redis":           {file + redis, "cache: {enabled: true, ttl: {default: 1h}}, writes: {policy: behind}", true},
		"and reads see the queue":  {file + redis, "cache: {enabled: true, ttl: {default: 1h}}, writes: {policy: behind, queue: {cache_body: true}}", true},
		"file alone":               {file, "cache: {enabled: true, ttl: {default: 1h}}, writes: {policy: behind}", false},
		"Redis alone":              {redis, "cache: {enabled: true, ttl: {default: 1h}}, writes: {policy: behind}", false},
		"a route that is not kept": {file + redis, "writes: {policy: behind}", false},
		"a route in memory alone":  {file + redis, "cache: {enabled: true, tiers: [memory], ttl: {default: 1h}}, writes: {policy: behind}", false},
		"a route that invalidates": {file + redis, "cache: {enabled: true, ttl: {default: 1h}}", false},
		"a route that is not read": {file + redis, "match: {path: /b, methods: [PUT]}, writes: {policy: behind}", false},
		"a route that writes thru": {file + redis, "cache: {enabled: true, ttl: {default: 1h}}, writes: {policy: through}", false},
	} {
		t.Run(name, func(t *testing.T) {
			at := filepath.Join(t.TempDir(), "gateway.yaml")
			if !strings.HasPrefix(c.route, "match") {
				c.route = "match: {path: /b/*}, " + c.route
			}
			yaml := "version: 1\n" + c.top + "upstreams: {origin: {targets: [\"http://127.0.0.1:1\"]}}\nroutes:\n  - {name: b, upstream: origin, " + c.route + "}\n"
			if err := os.WriteFile(at, []byte(yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(gateway.Path(), "check", at).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if warned := strings.Contains(string(out), "routes[0].writes: warning: writes.path"); warned != c.warns {
				t.Errorf("%s", out)
			}
		})
	}
}
