package combine

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
)

// stage is a gateway in front of three services.
type stage struct {
	*gatewaytest.Gateway
	users, orders, payments *gatewaytest.Origin
}

func answer(content string, fields ...string) http.HandlerFunc {
	return gatewaytest.Text(content, append([]string{"Content-Type", "application/json"}, fields...)...)
}

// start has one route /api/user-data/{id} with the given aggregate, and further routes.
func start(t *testing.T, aggregate, more string) *stage {
	t.Helper()
	s := &stage{
		users:    gatewaytest.NewOrigin(t, answer(`{"id":7,"name":"Ada","manager_id":"m 1"}`, "Cache-Control", "max-age=60")),
		orders:   gatewaytest.NewOrigin(t, answer(`{"list":[{"item_id":1},{"item_id":2}],"total":1.50}`, "Cache-Control", "max-age=30")),
		payments: gatewaytest.NewOrigin(t, answer(`{"items":[1e400,12345678901234567890]}`, "Cache-Control", "max-age=10")),
	}
	s.Gateway = gatewaytest.Start(t, fmt.Sprintf(`
cache: {memory: {size: 64MiB, max_object: 1MiB}}
upstreams:
  users: {targets: [%q]}
  orders: {targets: [%q]}
  payments: {targets: [%q]}
routes:
  - name: user-data
    match: {path: "/api/user-data/{id}", methods: [GET, HEAD]}
    cache: {enabled: true}
    aggregate:
%s
%s`, s.users.URL, s.orders.URL, s.payments.URL, indent(aggregate, 6), indent(more, 2)))
	return s
}

func indent(s string, by int) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if strings.TrimSpace(line) != "" {
			b.WriteString(strings.Repeat(" ", by) + line)
		}
	}
	return b.String()
}

const three = `
parts:
  user: {upstream: users, path: "/users/{id}"}
  orders: {upstream: orders, path: "/orders?user_id={id}"}
  payments: {upstream: payments, path: "/payments?user_id={id}", select: items}
`

func TestPartsStandUnderTheirNames(t *testing.T) {
	s := start(t, three, "")
	r := s.Get("/api/user-data/7")
	want := `{"user":{"id":7,"name":"Ada","manager_id":"m 1"},"orders":{"list":[{"item_id":1},{"item_id":2}],"total":1.50},"payments":[1e400,12345678901234567890]}`
	if r.Status != 200 || r.Body != want {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	if got := r.Header.Get("Cache-Control"); !strings.Contains(got, "max-age=10,") {
		t.Errorf("Cache-Control: %s", got)
	}
	if s.orders.Seen(0).URL.RequestURI() != "/orders?user_id=7" {
		t.Errorf("asked for %s", s.orders.Seen(0).URL)
	}
	if again := s.Get("/api/user-data/7"); !again.Hit() || again.Body != want {
		t.Errorf("the second: %v", again.Header)
	}
	s.Clock.Advance(11 * time.Second) // payments are stale, the others are not
	if r := s.Get("/api/user-data/7"); r.Status != 200 || r.Hit() {
		t.Errorf("%d %v", r.Status, r.Header)
	}
	if s.users.Calls() != 1 || s.orders.Calls() != 1 || s.payments.Calls() != 2 {
		t.Errorf("calls: %d %d %d", s.users.Calls(), s.orders.Calls(), s.payments.Calls())
	}
}

func valid(body string) bool { return json.Valid([]byte(body)) }
