package field

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
)

// manyTags are n tags of which each has the given length at least.
func manyTags(n, length int) string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf("%0*d", length, i)
	}
	return strings.Join(tags, " ")
}

// awaitStored waits until path is answered from the store.
func awaitStored(t *testing.T, g *gatewaytest.Gateway, path string, fields ...string) {
	t.Helper()
	gatewaytest.Eventually(t, "the response is stored", func() bool { return g.Get(path, fields...).Hit() })
}

// TestEveryTagPurges: a purge of a tag removes each response that came with this tag, however many and however long its tags are.
func TestEveryTagPurges(t *testing.T) {
	for _, c := range []struct {
		name, tags, purge string
		logged            bool
	}{
		{"the 129th", manyTags(129, 4), "0128", false},
		{"a long one", strings.Repeat("a", 1000) + " b", strings.Repeat("a", 1000), false},
		{"the 1000th", manyTags(1000, 4), "0999", false},
		{"the 1001st", manyTags(1001, 4), "1000", true},
		{"beyond 16 KiB", manyTags(400, 50), fmt.Sprintf("%050d", 399), true},
		{"beside one that is too long", strings.Repeat("a", 3000) + " b", "b", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			origin := gatewaytest.NewOrigin(t, gatewaytest.Text("old", "Cache-Control", "max-age=600", "Surrogate-Key", c.tags))
			g := gatewaytest.Route(t, origin.URL, "cache: {enabled: true}")
			awaitStored(t, g, "/x")
			if logged := strings.Contains(g.Log.String(), "every purge of a tag removes it"); logged != c.logged {
				t.Errorf("logged %v, want %v: %s", logged, c.logged, g.Log.String())
			}
			origin.Answer(gatewaytest.Text("new", "Cache-Control", "max-age=600", "Surrogate-Key", c.tags))
			g.Purge(t, c.purge)
			if r := g.Get("/x"); r.Body != "new" {
				t.Errorf("after the purge: %q", r.Body)
			}
			awaitStored(t, g, "/x")
		})
	}
}

// TestTagLimitsBesideTheRoute: the tags that follow from the request count too, and a response within the limits is hit by its own tags alone.
func TestTagLimitsBesideTheRoute(t *testing.T) {
	for tags, hit := range map[int]bool{998: true, 1000: false} {
		origin := gatewaytest.NewOrigin(t, gatewaytest.Text("x", "Cache-Control", "max-age=600", "Surrogate-Key", manyTags(tags, 4)))
		g := gatewaytest.Start(t, "upstreams: {origin: {targets: ["+origin.URL+"]}}\nroutes:\n  - name: all\n    match: {path: \"/{id}\"}\n    upstream: origin\n"+
			"    cache: {enabled: true, tags: {from: [\"id:{id}\"]}}\n")
		awaitStored(t, g, "/7")
		g.Purge(t, "other")
		if got := g.Get("/7").Hit(); got != hit {
			t.Errorf("%d tags: after the purge of another tag hit %v, want %v", tags, got, hit)
		}
		awaitStored(t, g, "/7")
		g.Purge(t, "id:7")
		if g.Get("/7").Hit() {
			t.Errorf("%d tags: the purge of the route's tag missed", tags)
		}
	}
}

// TestSentTagsAreWhole: with send: true clients get every tag that is not internal, also those that are not kept.
func TestSentTagsAreWhole(t *testing.T) {
	tags := manyTags(1500, 4) + " upstream:secret"
	origin := gatewaytest.NewOrigin(t, gatewaytest.Text("x", "Cache-Control", "max-age=600", "Surrogate-Key", tags))
	g := gatewaytest.Route(t, origin.URL, "cache: {enabled: true, tags: {send: true}}")
	for range 2 {
		if got := g.Get("/x").Header.Get("Surrogate-Key"); got != manyTags(1500, 4) {
			t.Errorf("%d tags were sent, the last bytes are %q", len(strings.Fields(got)), got[max(0, len(got)-20):])
		}
	}
}

// TestTagsOfParts: what purges a part purges the aggregate, whatever the number of parts and of their tags.
func TestTagsOfParts(t *testing.T) {
	const batched = "  - name: thing\n    match: {path: \"/one/{id}\", methods: [GET]}\n    cache: {enabled: true, ttl: {default: 600s}}\n" +
		"    batch: {upstream: origin, path: \"/part/many?ids={ids}\", key: id, items: data, window: 1ms}\n"
	for _, c := range []struct {
		name, part, routes string
		parts              int
		tags               string
		purge              string
	}{
		{"100 parts", "{upstream: origin, path: \"/part/{}\", foreach: \"list.ids.#\", limit: 2000}", "", 100, "", "own-99"},
		{"1100 parts", "{upstream: origin, path: \"/part/{}\", foreach: \"list.ids.#\", limit: 2000}", "", 1100, "", "own-1099"},
		{"a part with 1001 tags", "{upstream: origin, path: /part/0}", "", 1, manyTags(1001, 4), "1000"},
		{"a batch with 1001 tags", "{batch: thing, foreach: \"list.ids.#\"}", batched, 3, manyTags(1001, 4), "1000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			version := "old"
			origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Cache-Control", "max-age=600")
				if r.URL.Path == "/list" {
					ids := make([]string, c.parts)
					for i := range ids {
						ids[i] = fmt.Sprint(i)
					}
					fmt.Fprintf(w, `{"ids": [%s]}`, strings.Join(ids, ","))
					return
				}
				w.Header().Set("Surrogate-Key", "own-"+strings.TrimPrefix(r.URL.Path, "/part/")+" "+c.tags)
				if r.URL.Path == "/part/many" {
					fmt.Fprintf(w, `{"data": [{"id": 0, "version": %[1]q}, {"id": 1, "version": %[1]q}, {"id": 2, "version": %[1]q}]}`, version)
					return
				}
				fmt.Fprintf(w, `{"version": %q}`, version)
			})
			g := gatewaytest.Start(t, "upstreams: {origin: {targets: ["+origin.URL+"]}}\nroutes:\n"+c.routes+
				"  - name: whole\n    match: {path: /whole, methods: [GET]}\n    cache: {enabled: true, ttl: {default: 600s}}\n"+
				"    aggregate: {timeout: 9s, parts: {list: {upstream: origin, path: /list}, things: "+c.part+"}}\n")
			awaitStored(t, g, "/whole")
			version = "new"
			g.Purge(t, c.purge)
			if r := g.Get("/whole"); !strings.Contains(r.Body, "new") {
				t.Errorf("after the purge: %.200q", r.Body)
			}
		})
	}
}

// TestWriteToAVeryLongURL: a write makes its own URL stale for every client's variant, also if the URL is longer than a purge's target may be.
func TestWriteToAVeryLongURL(t *testing.T) {
	long := strings.Repeat("x", 18<<10)
	for _, path := range []string{"/p?" + long, "/" + long} {
		origin := gatewaytest.NewOrigin(t, gatewaytest.Text("old", "Cache-Control", "max-age=600"))
		g := gatewaytest.Start(t, "server: {limits: {url_bytes: 24KiB}}\nupstreams: {origin: {targets: ["+origin.URL+"]}}\nroutes:\n"+
			"  - name: all\n    match: {path: /*}\n    upstream: origin\n    cache: {enabled: true, key: {headers: [X-Tenant]}}\n")
		awaitStored(t, g, path, "X-Tenant", "a")
		g.Do(http.MethodPost, path, strings.NewReader("x"), "X-Tenant", "b")
		if g.Get(path, "X-Tenant", "a").Hit() {
			t.Errorf("%.5s…: the write did not reach the variant of another field", path)
		}
	}
}
