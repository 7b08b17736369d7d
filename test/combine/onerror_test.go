package combine

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
)

// hanging has a payments part that is given 50 ms, and what becomes of the answer without it.
func hanging(onError string) string {
	return `
parts:
  user: {upstream: users, path: "/users/{id}"}
  payments: {upstream: payments, path: "/payments?user_id={id}", select: items, timeout: 50ms, ` + onError + `}
`
}

const user = `{"id":7,"name":"Ada","manager_id":"m 1"}`

// TestAHangingPartCostsItsTimeout goes through what on_error may say.
func TestAHangingPartCostsItsTimeout(t *testing.T) {
	for _, c := range []struct {
		onError string
		status  int
		body    string
	}{
		{"on_error: fail", 504, ""},
		{"on_error: omit", 200, `{"user":` + user + `}`},
		{"on_error: null", 200, `{"user":` + user + `,"payments":null}`},
		{"on_error: default, default: [{n: 1.0}]", 200, `{"user":` + user + `,"payments":[{"n":1.0}]}`},
		{"on_error: stale", 504, ""}, // nothing is stored
	} {
		t.Run(c.onError, func(t *testing.T) {
			s := start(t, hanging(c.onError), "")
			gate := gatewaytest.NewGate(t)
			s.payments.Answer(func(w http.ResponseWriter, r *http.Request) { gate.Wait() })
			begun := time.Now()
			r := s.Get("/api/user-data/7")
			if took := time.Since(begun); took < 50*time.Millisecond || took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			if r.Status != c.status || c.body != "" && r.Body != c.body {
				t.Fatalf("%d %s", r.Status, r.Body)
			}
			if got := r.Header.Get("Proxy-Status"); !strings.Contains(got, "error=http_response_timeout") {
				t.Errorf("Proxy-Status: %q", got)
			}
			if c.status != 200 {
				if !strings.Contains(r.Body, "payments") {
					t.Errorf("it does not say which part: %s", r.Body)
				}
				return
			}
			if got := r.Header.Get("X-Penstock-Partial"); got != "payments" {
				t.Errorf("X-Penstock-Partial: %q", got)
			}
			if got := r.Header.Get("Cache-Control"); !strings.Contains(got, "max-age=1,") {
				t.Errorf("a partial answer is kept: %s", got)
			}
		})
	}
}

func TestAStalePartStandsIn(t *testing.T) {
	s := start(t, hanging("on_error: stale"), "")
	if r := s.Get("/api/user-data/7"); r.Status != 200 {
		t.Fatal(r.Status, r.Body)
	}
	gate := gatewaytest.NewGate(t)
	s.payments.Answer(func(w http.ResponseWriter, r *http.Request) { gate.Wait() })
	s.Clock.Advance(time.Hour)
	r := s.Get("/api/user-data/7")
	if r.Status != 200 || !strings.Contains(r.Body, `"payments":[1e400,12345678901234567890]`) {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	if r.Header.Get("X-Penstock-Partial") != "payments" || !strings.Contains(r.Header.Get("Cache-Control"), "max-age=3601,") {
		t.Errorf("%v", r.Header) // as old as the part, and fresh for one second
	}
	gate.Open()
}

func TestFailureHasThePartsStatus(t *testing.T) {
	s := start(t, three, "")
	s.users.Answer(gatewaytest.Status(404, "Cache-Control", "max-age=20", "X-Secret", "1"))
	r := s.Get("/api/user-data/7")
	if r.Status != 404 || !strings.Contains(r.Body, `"part":"user"`) || r.Header.Get("Proxy-Status") != "penstock/user; received-status=404" || r.Header.Get("X-Secret") != "" {
		t.Fatalf("%d %s %v", r.Status, r.Body, r.Header)
	}
	if !strings.Contains(r.Header.Get("Cache-Control"), "max-age=20") {
		t.Errorf("%v", r.Header)
	}
	if again := s.Get("/api/user-data/7"); !again.Hit() || again.Status != 404 {
		t.Errorf("%d %v", again.Status, again.Header)
	}
}

func TestRefusedAndUseless(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"redirect":         func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"html":             gatewaytest.Text("<html></html>", "Content-Type", "text/html"),
		"no body":          gatewaytest.Status(204),
		"cut short":        answer(`{"items":`),
		"nothing selected": answer(`{"other":1}`),
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, three, "")
			s.payments.Answer(h)
			r := s.Get("/api/user-data/7")
			if r.Status != 502 || !strings.Contains(r.Body, "payments") || s.payments.Calls() != 1 {
				t.Fatalf("%d %s, %d calls", r.Status, r.Body, s.payments.Calls())
			}
		})
	}
}

func TestTotalTimeoutEndsAllParts(t *testing.T) {
	s := start(t, `
timeout: 60ms
parts:
  user: {upstream: users, path: "/users/{id}"}
  orders: {upstream: orders, path: "/orders?user_id={id}", on_error: omit}
  payments: {upstream: payments, path: "/payments/{orders.total}", on_error: null}
`, "")
	gate := gatewaytest.NewGate(t)
	s.orders.Answer(func(w http.ResponseWriter, r *http.Request) { gate.Wait() })
	r := s.Get("/api/user-data/7")
	if r.Status != 200 || r.Body != `{"user":`+user+`,"payments":null}` || r.Header.Get("X-Penstock-Partial") != "orders, payments" {
		t.Fatalf("%d %s %v", r.Status, r.Body, r.Header)
	}
	if s.payments.Calls() != 0 {
		t.Error("a part was called without what it needs")
	}
}
