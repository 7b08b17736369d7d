package field

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/test/gatewaytest"
)

// A change of the rules that write a response's head holds for the next response, stored or not; and what did not change costs no call.
func TestChangedRulesReachStoredResponses(t *testing.T) {
	const day = "max-age=86400"
	cases := []struct {
		name, before, after string
		check               func(h http.Header) bool
	}{
		{"a field is set", "", `headers: {response: {set: {Strict-Transport-Security: "max-age=1"}}}`, func(h http.Header) bool { return h.Get("Strict-Transport-Security") == "max-age=1" }},
		{"a field has another value", `headers: {response: {set: {X-A: "1"}}}`, `headers: {response: {set: {X-A: "2"}}}`, func(h http.Header) bool { return h.Get("X-A") == "2" }},
		{"a field is added once", `headers: {response: {add: {X-A: "1"}}}`, `headers: {response: {add: {X-A: "2"}}}`, func(h http.Header) bool { return len(h["X-A"]) == 1 && h.Get("X-A") == "2" }},
		{"a field is removed", "", `headers: {response: {remove: [X-Origin]}}`, func(h http.Header) bool { return h.Get("X-Origin") == "" }},
		{"a field is removed no more", `headers: {response: {remove: [X-Origin]}}`, "", func(h http.Header) bool { return h.Get("X-Origin") == "1" }},
		{"a field is set no more", `headers: {response: {set: {X-A: "1"}}}`, "", func(h http.Header) bool { return h.Get("X-A") == "" }},
		{"a Cache-Control rule", "", `cache_control: [{set: "max-age=60", mode: override}]`, func(h http.Header) bool { return h.Get("Cache-Control") == "max-age=60" }},
		{"a Cache-Control rule that ends", `cache_control: [{set: "max-age=60", mode: override}]`, "", func(h http.Header) bool { return h.Get("Cache-Control") == day }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			origin := gatewaytest.NewOrigin(t, gatewaytest.Text("text", "Cache-Control", day, "X-Origin", "1", "Etag", `"1"`))
			yaml := func(rules string) string {
				return "cache: {memory: {size: 64MiB, max_object: 1MiB}}\nupstreams:\n  origin: {targets: [" + origin.URL + "]}\n" +
					"routes:\n  - name: all\n    match: {path: /*}\n    upstream: origin\n    cache: {enabled: true}\n    " + rules + "\n"
			}
			g := gatewaytest.Start(t, yaml(c.before))
			reload := func(rules string) {
				cfg, err := config.Parse("gateway.yaml", []byte("version: 1\n"+yaml(rules)), os.LookupEnv, os.ReadFile)
				if err != nil {
					t.Fatal(err)
				}
				if err := g.Apply(cfg); err != nil {
					t.Fatal(err)
				}
			}
			for range 3 {
				g.Get("/x")
			}
			reload(c.before)
			if r := g.Get("/x"); !r.Hit() {
				t.Error("a reload that changes nothing costs a call")
			}
			reload(c.after)
			for i := range 3 {
				if r := g.Get("/x"); r.Status != 200 || !c.check(r.Header) || i > 0 && !r.Hit() {
					t.Errorf("request %d after the change: %d %v", i, r.Status, r.Header)
				}
			}
			if n := origin.Calls(); n != 2 {
				t.Errorf("the change costs %d calls in all, want 2", n)
			}
			reload(c.before)
			origin.Answer(gatewaytest.Status(http.StatusServiceUnavailable))
			want := 200
			if strings.Contains(c.after, "cache_control") {
				want = 503 // the rule that was taken back may have declared another client's response reusable
			}
			if r := g.Get("/x"); r.Status != want {
				t.Errorf("with an origin that fails after another change: %d, want %d", r.Status, want)
			}
		})
	}
}
