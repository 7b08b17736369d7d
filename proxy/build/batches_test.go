package build_test

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock/proxy/observe"
	. "github.com/penstock/penstock/test/gatewaytest"
)

const batchRoutes = `
routes:
  - name: order
    match: {path: "/api/order/{id}"}
    aggregate:
      parts:
        order: {upstream: origin, path: "/orders/{id}"}
        items: {foreach: "order.item_ids.#", batch: items, path: "/items/{}"}
    cache: {enabled: true}
  - name: items
    match: {path: "/api/items/{nr:[0-9]+}", methods: [GET, HEAD]}
    batch: {upstream: origin, path: "/items?ids={ids}", window: 500ms, max: 50, items: data}
    cache: {enabled: true, ttl: {status: {404: 10s}}}
`

// shop is an upstream that gives items many at a time: those up to 100, of which 99 is missing.
func shop(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=60")
	if strings.HasPrefix(r.URL.Path, "/orders/") {
		var ids []string
		for i := range 50 {
			ids = append(ids, fmt.Sprint(50-i))
		}
		fmt.Fprintf(w, `{"item_ids":[%s]}`, strings.Join(ids, ","))
		return
	}
	var items []string
	for id := range strings.SplitSeq(r.URL.Query().Get("ids"), ",") {
		if id != "99" {
			items = append(items, fmt.Sprintf(`{"id":%s,"price":%s.50}`, id, id))
		}
	}
	fmt.Fprintf(w, `{"data":[%s]}`, strings.Join(items, ","))
}

func startShop(t *testing.T, h http.HandlerFunc) (*Gateway, *Origin) {
	o := NewOrigin(t, h)
	return Start(t, "cache: {memory: {size: 64MiB, max_object: 1MiB}}\nupstreams:\n  origin: {targets: ["+o.URL+"]}\n"+batchRoutes), o
}

func TestSingleReadsAreCachedAsIfFetchedAlone(t *testing.T) {
	g, o := startShop(t, shop)
	miss := g.Get("/api/items/7")
	if miss.Status != 200 || miss.Body != `{"id":7,"price":7.50}` || miss.Header.Get("Content-Type") != "application/json" || miss.Header.Get("Etag") == "" {
		t.Errorf("%d %s %v", miss.Status, miss.Body, miss.Header)
	}
	if hit := g.Get("/api/items/7"); !hit.Hit() || hit.Body != miss.Body {
		t.Errorf("%s %v", hit.Body, hit.Header)
	}
	if r := g.Get("/api/items/7", "If-None-Match", miss.Header.Get("Etag")); r.Status != 304 {
		t.Errorf("with its own validator: %d", r.Status)
	}
	for range 2 {
		if r := g.Get("/api/items/99"); r.Status != 404 {
			t.Errorf("missing: %d", r.Status)
		}
	}
	if r := g.Do("HEAD", "/api/items/7", nil); r.Status != 200 || r.Header.Get("Content-Length") != fmt.Sprint(len(miss.Body)) {
		t.Errorf("HEAD: %d %v", r.Status, r.Header)
	}
	if r := g.Do("POST", "/api/items/7", strings.NewReader("{}")); r.Status != 405 {
		t.Errorf("POST: %d", r.Status)
	}
	if o.Calls() != 2 {
		t.Errorf("%d calls, not one for the item and one for the missing", o.Calls())
	}
	misses := observe.Series{Route: "items", Method: "GET", Status: "2xx", Cache: "miss"}
	Eventually(t, "both reads to be counted", func() bool {
		return slices.ContainsFunc(g.Meter().Read().Rows, func(r observe.Row) bool { return r.Series == misses && r.OriginRequests == 2 })
	})
}

func TestForeachThroughABatchIsOneCall(t *testing.T) {
	g, o := startShop(t, shop)
	order := g.Get("/api/order/1")
	if order.Status != 200 || !strings.HasPrefix(order.Body, `{"order":{"item_ids":[50,49,`) || !strings.Contains(order.Body, `"items":[{"id":50,"price":50.50},{"id":49,"price":49.50},`) {
		t.Fatalf("%d %s", order.Status, order.Body)
	}
	if o.Calls() != 2 {
		t.Errorf("%d calls, not one for the order and one for its items", o.Calls())
	}
	if r := g.Get("/api/items/50"); !r.Hit() {
		t.Errorf("a client's read does not share the response that the foreach fetched: %v", r.Header)
	}
}

func TestClientsShareABatch(t *testing.T) {
	gate := NewGate(t)
	g, o := startShop(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("ids") == "1" {
			gate.Wait()
		}
		shop(w, r)
	})
	first := g.Go("/api/items/1")
	gate.Came(t)
	var all sync.WaitGroup
	for i := 2; i <= 51; i++ {
		all.Go(func() {
			if r := g.Get(fmt.Sprintf("/api/items/%d", i)); r.Body != fmt.Sprintf(`{"id":%d,"price":%d.50}`, i, i) {
				t.Errorf("item %d: %d %s", i, r.Status, r.Body)
			}
		})
	}
	all.Wait()
	gate.Open()
	g.Await(first)
	if n := o.Calls(); n > 10 { // two, on a machine that lets 50 clients ask within the window
		t.Errorf("%d calls for 51 reads", n)
	}
}

func TestACodedBatchIsDecoded(t *testing.T) {
	g, o := startShop(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		fmt.Fprint(z, `{"data":[{"id":"1"}]}`)
	})
	if r := g.Get("/api/items/1", "Accept-Encoding", "gzip"); r.Body != `{"id":"1"}` || r.Header.Get("Content-Encoding") != "" {
		t.Errorf("%d %q %v", r.Status, r.Body, r.Header)
	}
	if got := o.Seen(0).Header["Accept-Encoding"]; !slices.Equal(got, []string{"identity"}) {
		t.Errorf("asked for %q", got)
	}
}
