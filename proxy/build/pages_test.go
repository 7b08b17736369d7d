package build_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	. "github.com/penstock/penstock/test/gatewaytest"
)

const listRoutes = `
routes:
  - name: list
    match: {path: "/api/{shop}/orders", methods: [GET, HEAD, POST]}
    upstream: origin
    rewrite: {path: "/v2/{shop}"}
    paginate: {limit: {param: limit, default: 50, max: 100}, cursor: {param: cursor, next: pagination.next}, link_header: true, prefetch: %d}
    cache: {enabled: true, ttl: {default: 60s}}
`

// list is an upstream with five pages.
func list(w http.ResponseWriter, r *http.Request) {
	page, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	next := "null"
	if page < 4 {
		next = strconv.Quote(strconv.Itoa(page + 1))
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"page":%d,"limit":%s,"pagination":{"next":%s}}`, page, r.URL.Query().Get("limit"), next)
}

func startList(t *testing.T, prefetch int) (*Gateway, *Origin) {
	o := NewOrigin(t, list)
	return Start(t, "cache: {memory: {size: 64MiB, max_object: 1MiB}}\nupstreams:\n  origin: {targets: ["+o.URL+"]}\n"+fmt.Sprintf(listRoutes, prefetch)), o
}

func TestAPageHasOneLimitAndALink(t *testing.T) {
	g, o := startList(t, 0)
	first := g.Get("/api/a%20b/orders?x=1")
	if want := `</api/a%20b/orders?x=1&limit=50&cursor=1>; rel="next"`; first.Header.Get("Link") != want {
		t.Errorf("%d, link %s", first.Status, first.Header.Get("Link"))
	}
	if r := g.Get("/api/a%20b/orders?limit=50&x=1"); !r.Hit() || r.Header.Get("Link") != first.Header.Get("Link") {
		t.Errorf("the default, written out, is another object: %v", r.Header)
	}
	g.Get("/api/a/orders?limit=1000")
	if r := g.Get("/api/a/orders?limit=100"); !r.Hit() || !strings.Contains(r.Body, `"limit":100`) {
		t.Errorf("the most is another object: %s %v", r.Body, r.Header)
	}
	if r := g.Get("/api/a/orders?limit=0"); r.Status != 400 {
		t.Errorf("limit=0: %d", r.Status)
	}
	if r := g.Get("/api/a/orders?cursor=4"); r.Header.Get("Link") != "" {
		t.Errorf("after the last page: %s", r.Header.Get("Link"))
	}
	if o.Calls() != 3 {
		t.Errorf("%d calls", o.Calls())
	}
}

func TestAWriteMakesAllPagesStale(t *testing.T) {
	g, o := startList(t, 0)
	paths := []string{"/api/a/orders", "/api/a/orders?cursor=1", "/api/a/orders?cursor=2&limit=5"}
	for _, path := range append(paths, "/api/b/orders") {
		g.Get(path)
	}
	if r := g.Do("POST", "/api/a/orders", strings.NewReader("{}"), "Content-Type", "application/json"); r.Status != 200 {
		t.Fatalf("the write: %d", r.Status)
	}
	before := o.Calls()
	for _, path := range paths {
		if r := g.Get(path); r.Hit() {
			t.Errorf("%s is served as it was before the write", path)
		}
	}
	if r := g.Get("/api/b/orders"); !r.Hit() || o.Calls() != before+len(paths) {
		t.Errorf("another list went stale too: %v, %d calls", r.Header, o.Calls()-before)
	}
}

func TestPrefetch(t *testing.T) {
	g, o := startList(t, 2)
	g.Get("/api/a/orders")
	Eventually(t, "two more pages are fetched", func() bool { return o.Calls() == 3 })
	Eventually(t, "they are stored", func() bool { return g.Get("/api/a/orders?cursor=2").Hit() }) // and from there two more
	if r := g.Get("/api/a/orders?cursor=1"); !r.Hit() {
		t.Errorf("page 1: %v", r.Header)
	}
	Eventually(t, "two more pages are fetched", func() bool { return o.Calls() == 5 })
	o2 := o.Calls()
	if r := g.Get("/api/b/orders", "Authorization", "x"); r.Status != 200 {
		t.Errorf("%d", r.Status)
	}
	g.Get("/api/c/orders", "Cookie", "a=b")
	if r := g.Get("/api/b/orders?cursor=1", "Authorization", "x"); r.Hit() || o.Calls() != o2+3 {
		t.Errorf("a private page was fetched ahead: %d calls", o.Calls()-o2)
	}
}
