package combine

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
)

// book answers pages of a list of 1000 lines.
func book(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		w.WriteHeader(http.StatusCreated)
		return
	}
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit"))
	at, _ := strconv.Atoi(q.Get("cursor"))
	next := "null"
	if at+limit < 1000 {
		next = fmt.Sprintf(`"%d"`, at+limit)
	}
	answer(fmt.Sprintf(`{"from":%d,"limit":%d,"pagination":{"next_cursor":%s}}`, at, limit, next), "Cache-Control", "max-age=60", "Link", `</first>; rel="first"`)(w, r)
}

func pages(t *testing.T, more string) (*gatewaytest.Gateway, *gatewaytest.Origin) {
	o := gatewaytest.NewOrigin(t, book)
	return gatewaytest.Start(t, fmt.Sprintf(`
cache: {memory: {size: 64MiB, max_object: 1MiB}}
upstreams: {orders: {targets: [%q]}}
routes:
  - name: orders
    match: {path: /api/orders, methods: [GET, POST]}
    upstream: orders
    paginate: {limit: {param: limit, default: 50, max: 100}, cursor: {param: cursor, next: pagination.next_cursor}%s}
    cache: {enabled: true}
`, o.URL, more)), o
}

func TestLimitsComeToOneObject(t *testing.T) {
	g, o := pages(t, "")
	for _, c := range []struct {
		query string
		limit int
		calls int
	}{
		{"", 50, 1}, {"?limit=50", 50, 1}, {"?limit=0", 50, 1}, {"?limit=x", 50, 1}, {"?limit=-3", 50, 1}, {"?limit=", 50, 1}, {"?limit=50&limit=7", 50, 1}, {"?li%6Dit=50", 50, 1},
		{"?limit=1000", 100, 2}, {"?limit=100", 100, 2}, {"?limit=99999999999999999999", 100, 2},
		{"?limit=7&state=open", 7, 3}, {"?state=open&limit=7", 7, 4},
	} {
		r := g.Get("/api/orders" + c.query)
		if r.Status != 200 || !strings.Contains(r.Body, fmt.Sprintf(`"limit":%d,`, c.limit)) || o.Calls() != c.calls {
			t.Errorf("%s: %d %s, %d calls", c.query, r.Status, r.Body, o.Calls())
		}
	}
}

func TestLinkLeadsToTheNextPage(t *testing.T) {
	g, _ := pages(t, "")
	r := g.Get("/api/orders?state=open&limit=400")
	want := []string{`</first>; rel="first"`, `</api/orders?state=open&limit=100&cursor=100>; rel="next"`}
	if got := r.Header["Link"]; len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Fatalf("%q", got)
	}
	if hit := g.Get("/api/orders?state=open&limit=100"); !hit.Hit() || len(hit.Header["Link"]) != 2 {
		t.Errorf("from cache: %v", hit.Header)
	}
	if last := g.Get("/api/orders?limit=100&cursor=900"); last.Status != 200 || len(last.Header["Link"]) != 1 {
		t.Errorf("the last page: %v", last.Header)
	}
}

func TestACursorStaysInItsParameter(t *testing.T) {
	g, o := pages(t, "")
	o.Answer(answer(`{"pagination":{"next_cursor":"a>; rel=\"evil\"\r\nX: y&limit=1#"}}`))
	if got := g.Get("/api/orders").Header["Link"]; len(got) != 1 || got[0] != `</api/orders?limit=50&cursor=a%3E%3B+rel%3D%22evil%22%0D%0AX%3A+y%26limit%3D1%23>; rel="next"` {
		t.Errorf("%q", got)
	}
	for _, body := range []string{`{"pagination":{"next_cursor":""}}`, `{"pagination":{"next_cursor":{}}}`, `{}`, `[`, `{"a":1,"a":2}`} {
		o.Answer(answer(body))
		if r := g.Get("/api/orders?x=" + strconv.Itoa(len(body))); r.Status != 200 || r.Body != body || len(r.Header["Link"]) != 0 {
			t.Errorf("%s: %d %s %v", body, r.Status, r.Body, r.Header)
		}
	}
}

func TestTheNextPageIsThere(t *testing.T) {
	g, o := pages(t, ", prefetch: 2")
	g.Get("/api/orders")
	gatewaytest.Eventually(t, "two more pages are fetched", func() bool { return o.Calls() == 3 })
	gatewaytest.Eventually(t, "the second page is stored", func() bool { return g.Get("/api/orders?limit=50&cursor=50").Hit() })
	gatewaytest.Eventually(t, "reading the second has the fourth fetched", func() bool { return o.Calls() == 4 })
	if r := g.Get("/api/orders?cursor=500", "Authorization", "Bearer x"); r.Status != 200 || r.Header.Get("Link") == "" {
		t.Errorf("%d %v", r.Status, r.Header)
	}
	if o.Calls() != 5 {
		t.Errorf("something was fetched ahead for a client with credentials: %d calls", o.Calls())
	}
}

func TestAWriteMakesAllPagesStale(t *testing.T) {
	g, o := pages(t, "")
	g.Get("/api/orders")
	g.Get("/api/orders?limit=50&cursor=50")
	if !g.Get("/api/orders?limit=50&cursor=50").Hit() {
		t.Fatal("the second page was not stored")
	}
	if r := g.Do(http.MethodPost, "/api/orders", strings.NewReader("{}")); r.Status != 201 {
		t.Fatal(r.Status)
	}
	n := o.Calls()
	for _, query := range []string{"", "?limit=50&cursor=50"} {
		if r := g.Get("/api/orders" + query); r.Status != 200 || r.Hit() {
			t.Errorf("%q after a write: %v", query, r.Header)
		}
	}
	if o.Calls() != n+2 {
		t.Errorf("%d calls", o.Calls()-n)
	}
}
