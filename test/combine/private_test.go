package combine

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
)

// TestPartsAreAskedWithoutCredentials looks at what arrives where nothing is said of headers.
func TestPartsAreAskedWithoutCredentials(t *testing.T) {
	s := start(t, three, "")
	s.Get("/api/user-data/7", "Authorization", "Bearer a", "Cookie", "s=1", "Accept-Language", "de", "X-Api-Key", "k", "If-None-Match", `"x"`, "Range", "bytes=0-1")
	h := s.users.Seen(0).Header
	for _, name := range []string{"Authorization", "Cookie", "X-Api-Key", "If-None-Match", "Range"} {
		if h.Get(name) != "" {
			t.Errorf("%s: %s", name, h.Get(name))
		}
	}
	if h.Get("Accept-Language") != "de" || h.Get("Accept") != "application/json" {
		t.Errorf("%v", h)
	}
}

// TestCredentialsKeepAnswersApart has a part that is asked with them, and says nothing of sharing: neither it nor the whole is stored.
func TestCredentialsKeepAnswersApart(t *testing.T) {
	for _, c := range []struct {
		field, cacheControl string
		shared              bool
	}{
		{"Authorization", "max-age=60", false}, {"Cookie", "max-age=60", false}, {"Authorization", "public, max-age=60", true}, {"Cookie", "public, max-age=60", true},
		{"Authorization", "s-maxage=60", true},
	} {
		t.Run(c.field+" "+c.cacheControl, func(t *testing.T) {
			s := start(t, `
parts:
  user: {upstream: users, path: "/users/{id}", headers: [`+c.field+`]}
  orders: {upstream: orders, path: "/orders"}
`, "")
			s.users.Answer(func(w http.ResponseWriter, r *http.Request) {
				answer(fmt.Sprintf(`{"for":%q}`, r.Header.Get(c.field)), "Cache-Control", c.cacheControl)(w, r)
			})
			first := s.Get("/api/user-data/7", c.field, "a=1")
			second := s.Get("/api/user-data/7", c.field, "b=2")
			if !strings.Contains(first.Body, `"for":"a=1"`) || second.Hit() != c.shared || strings.Contains(second.Body, "b=2") == c.shared {
				t.Errorf("%s; %s %v", first.Body, second.Body, second.Header)
			}
			if strings.Contains(first.Header.Get("Cache-Control"), "private") == c.shared {
				t.Errorf("Cache-Control: %s", first.Header.Get("Cache-Control"))
			}
			if s.orders.Calls() != 1 {
				t.Errorf("the part that is for all was asked for %d times", s.orders.Calls())
			}
		})
	}
}

func TestNothingOfACookieThatAPartSets(t *testing.T) {
	s := start(t, three, "")
	s.users.Answer(answer(`{"id":1}`, "Cache-Control", "max-age=60", "Set-Cookie", "s=1"))
	r := s.Get("/api/user-data/7")
	if r.Status != 200 || r.Header.Get("Set-Cookie") != "" || !strings.Contains(r.Header.Get("Cache-Control"), "private") || s.Get("/api/user-data/7").Hit() {
		t.Errorf("%d %v", r.Status, r.Header)
	}
}

func TestThePartsWordHoldsForTheWhole(t *testing.T) {
	for cc, want := range map[string]string{"no-store": "no-store", "private, max-age=5": "private", "no-cache": "no-cache", "max-age=0": "max-age=0", "max-age=5, must-revalidate": "must-revalidate"} {
		s := start(t, three, "")
		s.orders.Answer(answer(`{}`, "Cache-Control", cc, "Vary", "Accept-Language, X-Other, Accept-Encoding"))
		r := s.Get("/api/user-data/7")
		if got := r.Header.Get("Cache-Control"); r.Status != 200 || !strings.Contains(got, want) {
			t.Errorf("%s: %s", cc, got)
		}
		if got := r.Header.Get("Vary"); got != "Accept-Language" {
			t.Errorf("Vary: %q", got)
		}
	}
}

// TestTagsOfPartsAreTheWholes has a purge by a part's tag, and by one that the part is given, hit the whole.
func TestTagsOfPartsAreTheWholes(t *testing.T) {
	for _, tag := range []string{"brought", "user:7"} {
		s := start(t, `
parts:
  user: {upstream: users, path: "/users/{id}", tags: ["user:{id}"]}
`, "")
		s.users.Answer(answer(`{}`, "Cache-Control", "max-age=60", "Surrogate-Key", "brought"))
		s.Get("/api/user-data/7")
		if r := s.Get("/api/user-data/7"); !r.Hit() || r.Header.Get("Surrogate-Key") != "" {
			t.Fatalf("%v", r.Header)
		}
		s.Purge(t, tag)
		if r := s.Get("/api/user-data/7"); r.Hit() || s.users.Calls() != 2 {
			t.Errorf("after purging %s: %v, %d calls", tag, r.Header, s.users.Calls())
		}
	}
}

func TestDeepMerge(t *testing.T) {
	s := start(t, `
merge: deep
parts:
  user: {upstream: users, path: "/users/{id}"}
  orders: {upstream: orders, path: "/orders"}
`, "")
	s.users.Answer(answer(`{"id":1.0,"a":{"x":1,"y":{"p":1}}}`))
	s.orders.Answer(answer(`{"b":[],"a":{"z":1e400,"y":{"q":2}}}`))
	if r := s.Get("/api/user-data/7"); r.Body != `{"id":1.0,"a":{"x":1,"y":{"p":1,"q":2},"z":1e400},"b":[]}` {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	s.orders.Answer(answer(`{"a":{"x":1}}`))
	if r := s.Get("/api/user-data/8"); r.Status != 502 || !strings.Contains(r.Body, "parts user and orders both have a.x") {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

func TestConditionsAndHead(t *testing.T) {
	s := start(t, three, "")
	tag := s.Get("/api/user-data/7").Header.Get("Etag")
	if r := s.Get("/api/user-data/7", "If-None-Match", tag); tag == "" || r.Status != 304 {
		t.Errorf("%d with %s", r.Status, tag)
	}
	if r := s.Do(http.MethodHead, "/api/user-data/9", nil); r.Status != 200 || r.Header.Get("Content-Length") == "" || r.Header.Get("Etag") != tag {
		t.Errorf("%d %v", r.Status, r.Header)
	}
	s.Clock.Advance(time.Minute)
	if r := s.Get("/api/user-data/7"); r.Status != 200 || r.Header.Get("Etag") != tag || !strings.Contains(r.Header.Get("Cache-Status"), "fwd-status=304") {
		t.Errorf("%d %v", r.Status, r.Header)
	}
	if r := s.Do(http.MethodPost, "/api/user-data/7", nil); r.Status != 405 {
		t.Error(r.Status)
	}
}

func TestCodedPartsAreDecoded(t *testing.T) {
	s := start(t, three, "")
	s.users.Answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write([]byte(user))
		_ = z.Close()
	})
	if r := s.Get("/api/user-data/7"); r.Status != 200 || !strings.Contains(r.Body, user) {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

// TestClientsShareAFanOut has many clients on a cold key: one call for each part.
func TestClientsShareAFanOut(t *testing.T) {
	s := start(t, three, "")
	gate := gatewaytest.NewGate(t)
	s.users.Answer(func(w http.ResponseWriter, r *http.Request) {
		gate.Wait()
		answer(user, "Cache-Control", "max-age=60")(w, r)
	})
	var came []<-chan *gatewaytest.Response
	for range 20 {
		came = append(came, s.Go("/api/user-data/7"))
	}
	s.AwaitWaiting(19)
	gate.Open()
	for _, c := range came {
		if r := s.Await(c); r.Status != 200 {
			t.Error(r.Status)
		}
	}
	if s.users.Calls()+s.orders.Calls()+s.payments.Calls() != 3 {
		t.Error("more than three calls")
	}
}
