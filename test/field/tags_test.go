package field

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
)

// taggedOrigin names a tag in each answer: in the head, in an early hint and in a trailer.
func taggedOrigin(t *testing.T, field string, status int, fields ...string) *gatewaytest.Origin {
	return gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		h := w.Header()
		h.Set(field, "origin-tag")
		for i := 0; i+1 < len(fields); i += 2 {
			h.Set(fields[i], fields[i+1])
		}
		h.Set("Content-Type", "application/json")
		if r.URL.Path == "/trailer" {
			h.Set("Trailer", field)
		}
		if status == http.StatusOK && r.Header.Get("If-None-Match") != "" {
			status := http.StatusNotModified
			w.WriteHeader(status)
			return
		}
		w.WriteHeader(status)
		if status != http.StatusNoContent && r.Method != http.MethodHead {
			_, _ = io.WriteString(w, `{"id": 1}`)
		}
		if r.URL.Path == "/trailer" {
			w.(http.Flusher).Flush()
			h.Set(field, "origin-tag")
		}
	})
}

// With send: false, which is the default, no answer of a route names its tags, whether the answer is stored or not.
func TestTagsStayInside(t *testing.T) {
	const cached = "cache: {enabled: true}\n"
	cases := []struct {
		name   string
		route  string
		field  string
		method string
		path   string
		status int
		answer []string
		fields []string
	}{
		{"a route without a cache", "methods: []", "Surrogate-Key", "GET", "/x", 200, nil, nil},
		{"a response for one client", cached, "Surrogate-Key", "GET", "/x", 200, []string{"Cache-Control", "private"}, nil},
		{"no-store", cached, "Surrogate-Key", "GET", "/x", 200, []string{"Cache-Control", "no-store"}, nil},
		{"a stored response", cached, "Surrogate-Key", "GET", "/x", 200, []string{"Cache-Control", "max-age=60"}, nil},
		{"Set-Cookie", cached, "Surrogate-Key", "GET", "/x", 200, []string{"Cache-Control", "max-age=60", "Set-Cookie", "a=b"}, nil},
		{"HEAD", cached, "Surrogate-Key", "HEAD", "/x", 200, []string{"Cache-Control", "max-age=60"}, nil},
		{"POST", cached, "Surrogate-Key", "POST", "/x", 200, nil, nil},
		{"DELETE", cached, "Surrogate-Key", "DELETE", "/x", 204, nil, nil},
		{"an error", cached, "Surrogate-Key", "GET", "/x", 500, nil, nil},
		{"a redirect", cached, "Surrogate-Key", "GET", "/x", 302, []string{"Location", "/y"}, nil},
		{"a client's no-store", cached, "Surrogate-Key", "GET", "/x", 200, []string{"Cache-Control", "max-age=60"}, []string{"Cache-Control", "no-store"}},
		{"a client's credentials", cached, "Surrogate-Key", "GET", "/x", 200, []string{"Cache-Control", "max-age=60"}, []string{"Authorization", "Basic eDp5"}},
		{"a client's condition", "cache: {enabled: false}", "Surrogate-Key", "GET", "/x", 200, []string{"Etag", `"1"`}, []string{"If-None-Match", `"1"`}},
		{"a trailer", cached, "Surrogate-Key", "GET", "/trailer", 200, []string{"Cache-Control", "max-age=60"}, nil},
		{"a trailer that is not stored", cached, "Surrogate-Key", "GET", "/trailer", 200, nil, nil},
		{"another field", "cache: {enabled: true, tags: {header: cache-tag}}", "Cache-Tag", "GET", "/x", 200, []string{"Cache-Control", "private"}, nil},
		{"another field, stored", "cache: {enabled: true, tags: {header: cache-tag}}", "Cache-Tag", "GET", "/x", 200, []string{"Cache-Control", "max-age=60"}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			origin := taggedOrigin(t, c.field, c.status, c.answer...)
			route := c.route
			if strings.HasPrefix(route, "methods") {
				route = "cache: {enabled: false}"
			}
			g := gatewaytest.Route(t, origin.URL, route)
			for range 2 {
				r := g.Do(c.method, c.path, nil, c.fields...)
				if tags := append(r.Header[c.field], r.Trailer[c.field]...); r.Err != nil || len(tags) > 0 {
					t.Errorf("the client gets %s: %q (%d, %v)", c.field, tags, r.Status, r.Err)
				}
			}
		})
	}
}

// An answer of several parts tells clients nothing of the upstreams behind it, whatever tags are sent, and is purged with its parts all the same.
func TestAggregateHidesItsUpstreams(t *testing.T) {
	for name, c := range map[string]struct{ cache, control, want string }{
		"without a cache": {"", "", ""},
		"cached":          {"cache: {enabled: true}", "max-age=60", ""},
		"private":         {"cache: {enabled: true}", "private", ""},
		"tags are sent":   {"cache: {enabled: true, tags: {send: true}}", "max-age=60", "origin-tag"},
		"sent, private":   {"cache: {enabled: true, tags: {send: true}}", "private", "origin-tag"},
	} {
		t.Run(name, func(t *testing.T) {
			origin := taggedOrigin(t, "Surrogate-Key", 200, "Cache-Control", c.control)
			g := gatewaytest.Start(t, "upstreams:\n  users-internal: {targets: ["+origin.URL+"]}\nroutes:\n  - name: agg\n    match: {path: \"/agg/{id}\"}\n"+
				"    aggregate: {parts: {user: {upstream: users-internal, path: \"/v1/private/users/{id}\"}}}\n    "+c.cache+"\n"+
				"  - {name: rest, match: {path: /*}, upstream: users-internal}\n")
			for range 2 {
				r := g.Get("/agg/42")
				if got := r.Header.Get("Surrogate-Key"); r.Status != 200 || got != c.want {
					t.Errorf("%d, Surrogate-Key: %q, want %q", r.Status, got, c.want)
				}
				for field, values := range r.Header {
					if strings.Contains(strings.Join(values, " "), "users-internal") {
						t.Errorf("%s: %q names an upstream", field, values)
					}
				}
			}
			if c.control != "max-age=60" {
				return
			}
			g.Do("PUT", "/v1/private/users/42", strings.NewReader("x"))
			if r := g.Get("/agg/42"); r.Hit() {
				t.Error("a write to a part leaves the whole stored")
			}
		})
	}
}
