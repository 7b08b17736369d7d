package combine

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
)

const itemsRoute = `
- name: items-by-id
  match: {path: "/api/items/{id}", methods: [GET, HEAD]}
  batch: {upstream: payments, path: "/items?ids={ids}", window: 2ms, max: 100, key: id, items: data, missing: 404}
  cache: {enabled: true, ttl: {default: 60s}}
`

// shop answers batches of items; it has those below 1000.
func shop(w http.ResponseWriter, r *http.Request) {
	var items []string
	for _, id := range strings.Split(r.URL.Query().Get("ids"), ",") {
		if len(id) < 4 {
			items = append(items, fmt.Sprintf(`{"id":%s,"price":%s.50,"lang":%q}`, id, id, r.Header.Get("Accept-Language")))
		}
	}
	answer(`{"data":[`+strings.Join(items, ",")+`]}`, "Cache-Control", "max-age=30", "Vary", "Accept-Language")(w, r)
}

const chained = `
parts:
  user: {upstream: users, path: "/users/{id}"}
  manager: {upstream: users, path: "/users/{user.manager_id}"}
  orders: {upstream: orders, path: "/orders?user_id={id}"}
  items: {foreach: "orders.list.#.item_id", path: "/items/{}", batch: items-by-id}
`

func list(ids ...string) http.HandlerFunc {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"item_id":` + id + `}`)
	}
	return answer(`{"list":[`+b.String()+`]}`, "Cache-Control", "max-age=30")
}

// TestAChainAndAForeach counts calls: two of the chain, one for the list, one for its fifty values.
func TestAChainAndAForeach(t *testing.T) {
	s := start(t, chained, strings.Replace(itemsRoute, "2ms", "1s", 1)) // it is not waited for
	var ids []string
	for i := range 50 {
		ids = append(ids, fmt.Sprint(i+1))
	}
	s.orders.Answer(list(append(ids, ids...)...)) // each is there twice
	s.payments.Answer(shop)
	r := s.Get("/api/user-data/7")
	if r.Status != 200 || !valid(r.Body) || strings.Count(r.Body, `"price":`) != 50 || strings.Index(r.Body, `"id":1,`) > strings.Index(r.Body, `"id":50,`) {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	if s.users.Calls() != 2 || s.orders.Calls() != 1 || s.payments.Calls() != 1 {
		t.Errorf("calls: %d %d %d", s.users.Calls(), s.orders.Calls(), s.payments.Calls())
	}
	if got := s.users.Seen(1).URL.RequestURI(); got != "/users/m%201" {
		t.Errorf("the manager was asked for at %s", got)
	}
	if one := s.Get("/api/items/42"); !one.Hit() || one.Body != `{"id":42,"price":42.50,"lang":""}` || s.payments.Calls() != 1 {
		t.Errorf("a single read of what the list has brought: %v %s", one.Header, one.Body)
	}
	if got := r.Header.Get("Cache-Status"); !strings.Contains(got, `penstock/items; fwd=miss; detail="0 of 50 from cache"`) || !strings.Contains(got, "penstock/manager; fwd=uri-miss") {
		t.Errorf("Cache-Status: %s", got)
	}
}

func TestForeachEdges(t *testing.T) {
	for _, c := range []struct {
		name, list, items string
		status            int
	}{
		{"empty", `{"list":[]}`, `"items":[]`, 200},
		{"null and missing", `{"list":[{"item_id":null},{},{"item_id":3},{"item_id":"3"}]}`, `"items":[{"id":3,`, 200},
		{"no list", `{"list":{}}`, "there is no list", 502},
		{"objects", `{"list":[{"item_id":{}}]}`, "neither text nor a number", 502},
		{"missing element", `{"list":[{"item_id":1},{"item_id":5000}]}`, `"part":"items"`, 404},
		{"dots", `{"list":[{"item_id":".."}]}`, "not fit for a URL", 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, chained, itemsRoute)
			s.orders.Answer(answer(c.list))
			s.payments.Answer(shop)
			if r := s.Get("/api/user-data/7"); r.Status != c.status || !strings.Contains(r.Body, c.items) {
				t.Errorf("%d %s", r.Status, r.Body)
			}
		})
	}
	s := start(t, strings.Replace(chained, "batch: items-by-id", "batch: items-by-id, limit: 2", 1), itemsRoute)
	s.orders.Answer(list("1", "2", "3"))
	if r := s.Get("/api/user-data/7"); r.Status != 502 || !strings.Contains(r.Body, "more than the 2 values") {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

// TestReadsShareACall has many clients ask at once, while a first call keeps the loader busy.
func TestReadsShareACall(t *testing.T) {
	s := start(t, three, itemsRoute)
	s.payments.Answer(shop)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			r := s.Get(fmt.Sprintf("/api/items/%d", i%100))
			if want := fmt.Sprintf(`{"id":%d,"price":%d.50,"lang":""}`, i%100, i%100); r.Status != 200 || r.Body != want {
				t.Errorf("%d: %d %s", i, r.Status, r.Body)
			}
		})
	}
	all.Wait()
	if n := s.payments.Calls(); n >= 100 {
		t.Errorf("%d calls for 100 items", n)
	}
	if r := s.Get("/api/items/5000"); r.Status != 404 || !valid(r.Body) {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	n := s.payments.Calls()
	if r := s.Get("/api/items/5000"); r.Status != 404 || !r.Hit() || s.payments.Calls() != n {
		t.Errorf("what is missing is not remembered: %d %v", r.Status, r.Header)
	}
}

// TestAReadAloneWaitsForNobody has a window of a second, and a read that must not know of it.
func TestAReadAloneWaitsForNobody(t *testing.T) {
	s := start(t, chained, strings.Replace(itemsRoute, "2ms", "1s", 1))
	s.payments.Answer(shop)
	begun := time.Now()
	s.Get("/api/items/1")
	s.Get("/api/user-data/7") // two values, of which one is there
	if took := time.Since(begun); took > 900*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	if s.payments.Calls() != 2 {
		t.Errorf("%d calls", s.payments.Calls())
	}
}

// TestClientsAreNotMixed has two clients with credentials, and two languages, ask for one item at once.
func TestClientsAreNotMixed(t *testing.T) {
	s := start(t, three, strings.Replace(itemsRoute, "2ms", "300ms", 1))
	s.payments.Answer(func(w http.ResponseWriter, r *http.Request) {
		answer(fmt.Sprintf(`{"data":[{"id":1,"for":%q}]}`, r.Header.Get("Authorization")+r.Header.Get("Accept-Language")), "Cache-Control", "max-age=60", "Vary", "Accept-Language")(w, r)
	})
	var all sync.WaitGroup
	for _, fields := range [][]string{{"Authorization", "Bearer a"}, {"Authorization", "Bearer b"}, {"Accept-Language", "de"}, {"Accept-Language", "fr"}} {
		all.Go(func() {
			if r := s.Get("/api/items/1", fields...); r.Body != fmt.Sprintf(`{"id":1,"for":%q}`, fields[1]) {
				t.Errorf("%v got %s", fields, r.Body)
			}
		})
	}
	all.Wait()
	if s.payments.Calls() != 4 {
		t.Errorf("%d calls", s.payments.Calls())
	}
	if r := s.Get("/api/items/1", "Authorization", "Bearer a"); r.Hit() {
		t.Error("what was made for a client with credentials was stored")
	}
}

// TestAFailedBatch has one identifier that the upstream can't take among others; each is then asked for once, alone.
func TestAFailedBatch(t *testing.T) {
	s := start(t, strings.Replace(chained, "batch: items-by-id", "batch: items-by-id, on_error: omit", 1), strings.Replace(itemsRoute, "2ms", "1s", 1))
	s.orders.Answer(list("1", "2", `"bad"`, "3"))
	s.payments.Answer(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawQuery, "bad") {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		shop(w, r)
	})
	r := s.Get("/api/user-data/7")
	if r.Status != 200 || strings.Count(r.Body, `"price"`) != 3 || r.Header.Get("X-Penstock-Partial") != "items" {
		t.Fatalf("%d %s %v", r.Status, r.Body, r.Header)
	}
	if s.payments.Calls() != 5 {
		t.Errorf("%d calls, not one and four", s.payments.Calls())
	}
	s.payments.Answer(gatewaytest.Status(503))
	s.orders.Answer(list("11", "12", "13"))
	n := s.payments.Calls()
	s.Clock.Advance(time.Hour)
	if r := s.Get("/api/user-data/7"); r.Status != 200 || strings.Contains(r.Body, "price") || s.payments.Calls() != n+1 {
		t.Errorf("an upstream that is down was asked again: %d calls, %d %s", s.payments.Calls()-n, r.Status, r.Body)
	}
}

// TestLongURLsAreSplit has more identifiers than a URL may hold.
func TestLongURLsAreSplit(t *testing.T) {
	s := start(t, chained, strings.Replace(itemsRoute, "max: 100,", "max: 100, url_bytes: 64,", 1))
	var ids []string
	for i := range 40 {
		ids = append(ids, fmt.Sprint(i+100))
	}
	s.orders.Answer(list(ids...))
	s.payments.Answer(shop)
	if r := s.Get("/api/user-data/7"); r.Status != 200 || strings.Count(r.Body, `"price"`) != 40 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	for i := range s.payments.Calls() {
		if uri := s.payments.Seen(i).URL.RequestURI(); len(uri) > 64 {
			t.Errorf("a URL of %d bytes", len(uri))
		}
	}
	if r := s.Get("/api/items/" + strings.Repeat("9", 100)); r.Status != 414 {
		t.Errorf("an identifier that fits into no URL: %d", r.Status)
	}
}
