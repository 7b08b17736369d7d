package field

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
)

// TestEmptyListSelectsNothing asks for one path with two queries. An empty list of parameters must not mean all of them.
func TestEmptyListSelectsNothing(t *testing.T) {
	const lifetime = "cache: {enabled: true, ttl: {default: 1m}, key: "
	for _, tt := range []struct {
		name, route string
		shared      bool   // both requests share one object
		query       string // what the origin gets of the second one, if they do not share
	}{
		{"include left out", lifetime + "{query: {sort: false}}}", false, "x=2"},
		{"include all", lifetime + `{query: {include: ["*"]}}}`, false, "x=2"},
		{"include empty", lifetime + "{query: {include: []}}}", true, ""},
		{"include empty, sorted", lifetime + "{query: {include: [], sort: true}}}", true, ""},
		{"exclude empty", lifetime + "{query: {exclude: []}}}", false, "x=2"},
		{"exclude all", lifetime + `{query: {exclude: ["*"]}}}`, true, ""},
		{"headers and cookies empty", lifetime + "{headers: [], cookies: []}}", false, "x=2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			origin := gatewaytest.NewOrigin(t, gatewaytest.Text("content", "Cache-Control", "max-age=60"))
			g := gatewaytest.Route(t, origin.URL, tt.route)
			first, second := g.Get("/a?x=1"), g.Get("/a?x=2")
			if first.Status != 200 || second.Status != 200 || second.Hit() != tt.shared {
				t.Errorf("%d, then %d, a hit: %v; want %v", first.Status, second.Status, second.Hit(), tt.shared)
			}
			if got := origin.Seen(-1).URL.RawQuery; got != tt.query {
				t.Errorf("the origin got the query %q, want %q", got, tt.query)
			}
		})
	}
}

// TestEmptyListOverDefaults empties for one route what `defaults` select for all.
func TestEmptyListOverDefaults(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, gatewaytest.Text("content", "Cache-Control", "max-age=60"))
	g := gatewaytest.Start(t, "upstreams: {origin: {targets: ["+origin.URL+`]}}
defaults: {cache: {enabled: true, key: {query: {include: [x]}}}, headers: {response: {remove: [X-A]}}}
routes:
  - {name: none, match: {path: /none}, upstream: origin, cache: {key: {query: {include: []}}}}
  - {name: x, match: {path: /x}, upstream: origin}
`)
	for path, shared := range map[string]bool{"/none": true, "/x": false} {
		g.Get(path + "?x=1")
		if got := g.Get(path + "?x=2").Hit(); got != shared {
			t.Errorf("%s: a hit: %v, want %v", path, got, shared)
		}
	}
}

// TestCheckRefusesEmptyLists writes lists whose empty form could be taken for all, and which check therefore refuses with what to write instead.
func TestCheckRefusesEmptyLists(t *testing.T) {
	for _, tt := range []struct{ route, says string }{
		{"match: {path: /, methods: []}", "match.methods: the list is empty (name methods such as [GET, HEAD], or leave the key out to match all of them)"},
		{"match: {path: /}\n    cache_control: [{when: {extension: []}, set: public}]", "when.extension: the list is empty"},
		{"match: {path: /}\n    cache_control: [{when: {content_type: []}, set: public}]", "when.content_type: the list is empty"},
		{"match: {path: /}\n    cache_control: [{when: {status: []}, set: public}]", "when.status: the list is empty"},
		{"match: {path: /}\n    cache: {enabled: true, tiers: []}", "cache.tiers: the list of tiers is empty"},
		{"match: {path: /}\n    cache: {enabled: true, key: {query: {include: [], exclude: [a]}}}", "include is empty"},
		{"match: {path: /}\n    compress: {types: []}", "compress.types: the list is empty, so nothing is compressed"},
		{"match: {path: /}\n    compress: {encodings: []}", "compress.encodings: the list is empty, so nothing is compressed"},
		{"match: {path: /}\n    errors: [{status: [], body: x}]", "errors[0].status: the list of statuses is empty"},
	} {
		out, code := check(t, "upstreams: {web: {targets: [\"http://127.0.0.1:1\"]}}\nroutes:\n  - name: a\n    upstream: web\n    "+tt.route+"\n")
		if code != 2 || !strings.Contains(out, tt.says) {
			t.Errorf("%s\nexit code %d: %s", tt.route, code, out)
		}
	}
}

// check runs `penstock check` on a configuration and returns all that it says with its exit code.
func check(t *testing.T, yaml string) (string, int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(gateway.Path(), "check", file)
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}
