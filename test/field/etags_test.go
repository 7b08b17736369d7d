package field

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
)

// editable is an origin that knows its document by a strong tag, and compares strongly for writes.
func editable(t *testing.T, tag string, fields ...string) *gatewaytest.Origin {
	return gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		h := w.Header()
		for i := 0; i+1 < len(fields); i += 2 {
			h.Set(fields[i], fields[i+1])
		}
		h.Set("Etag", tag)
		h.Set("Content-Type", "text/plain")
		switch match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match"); {
		case match != "" && (match != tag || strings.HasPrefix(tag, "W/")):
			w.WriteHeader(http.StatusPreconditionFailed)
		case none == tag && r.Method == http.MethodGet:
			w.WriteHeader(http.StatusNotModified)
		case none == tag:
			w.WriteHeader(http.StatusPreconditionFailed)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.WriteHeader(http.StatusNoContent)
		default:
			_, _ = io.WriteString(w, strings.Repeat("text ", 100))
		}
	})
}

// A client can edit what it has read in a coding that the gateway has made: its conditions reach the origin with the origin's own tag.
func TestEditWhatWasReadCoded(t *testing.T) {
	cases := []struct{ name, route, accept, method, control string }{
		{"without a cache", "compress: {min_size: 10}", "gzip", "PUT", ""},
		{"cached", "compress: {min_size: 10}\ncache: {enabled: true}", "gzip", "PUT", "max-age=60"},
		{"brotli", "compress: {min_size: 10}\ncache: {enabled: true}", "br", "PATCH", "max-age=60"},
		{"zstd", "compress: {min_size: 10}\ncache: {enabled: true}", "zstd", "DELETE", "max-age=60"},
		{"for one client", "compress: {min_size: 10}\ncache: {enabled: true}", "gzip", "POST", "private"},
		{"write-through", "compress: {min_size: 10}\ncache: {enabled: true}\nwrites: {policy: through}", "gzip", "PUT", "max-age=60"},
		{"not coded", "compress: {min_size: 10}\ncache: {enabled: true}", "identity", "PUT", "max-age=60"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g := gatewaytest.Route(t, editable(t, `"v1"`, "Cache-Control", c.control).URL, c.route)
			other := gatewaytest.Route(t, editable(t, `"v1"`).URL, c.route) // an instance that has never seen the object
			for range 2 {
				tag := g.Get("/doc", "Accept-Encoding", c.accept).Header.Get("Etag")
				if c.accept != "identity" && (tag == `"v1"` || strings.HasPrefix(tag, "W/")) {
					t.Errorf("the coded form has the tag %s", tag)
				}
				for _, g := range []*gatewaytest.Gateway{g, other} {
					if r := g.Do(c.method, "/doc", strings.NewReader("x"), "If-Match", `"other", `+tag); r.Status == 204 {
						t.Errorf("two tags: %d", r.Status) // the origin compares with the whole line
					}
					if r := g.Do(c.method, "/doc", strings.NewReader("x"), "If-Match", tag); r.Status != 204 {
						t.Errorf("If-Match: %s: %d", tag, r.Status)
					}
					if r := g.Do(c.method, "/doc", strings.NewReader("x"), "If-None-Match", tag); r.Status != 412 {
						t.Errorf("If-None-Match: %s: %d", tag, r.Status)
					}
				}
			}
		})
	}
}

// Strong comparison stays strong: a weak tag never matches, nor does a tag that only looks marked.
func TestMarkedTagsCompareStrongly(t *testing.T) {
	route := "compress: {min_size: 10}\ncache: {enabled: true}"
	g := gatewaytest.Route(t, editable(t, `"v1"`, "Cache-Control", "max-age=60").URL, route)
	tag := g.Get("/doc", "Accept-Encoding", "gzip").Header.Get("Etag")
	for _, no := range []string{"W/" + tag, `W/"v1"`, `"v1--gzip"`, `"v1--gzip-00000000"`, strings.Replace(tag, "v1", "v2", 1), `"v1-gzip"`} {
		if r := g.Do("PUT", "/doc", strings.NewReader("x"), "If-Match", no); r.Status != 412 {
			t.Errorf("If-Match: %s: %d", no, r.Status)
		}
	}
	weak := gatewaytest.Route(t, editable(t, `W/"v1"`, "Cache-Control", "max-age=60").URL, route)
	if tag := weak.Get("/doc", "Accept-Encoding", "gzip").Header.Get("Etag"); tag != `W/"v1"` {
		t.Errorf("a weak tag becomes %s", tag)
	}
	own := gatewaytest.Route(t, editable(t, `"v1-gzip"`, "Cache-Control", "max-age=60").URL, route)
	own.Get("/doc", "Accept-Encoding", "gzip")
	if r := own.Do("PUT", "/doc", strings.NewReader("x"), "If-Match", `"v1-gzip"`); r.Status != 204 {
		t.Errorf("an origin's own suffix: %d", r.Status)
	}
}

// A client that holds one form of a response is told that it has not changed, by the tag that it knows. Bytes of one form never complete another.
func TestConditionsOnCodedForms(t *testing.T) {
	g := gatewaytest.Route(t, editable(t, `"v1"`, "Cache-Control", "max-age=60").URL, "compress: {min_size: 10}\ncache: {enabled: true}")
	tags := map[string]string{}
	for _, coding := range []string{"identity", "gzip", "br"} {
		tags[coding] = g.Get("/doc", "Accept-Encoding", coding).Header.Get("Etag")
	}
	for range 3 {
		for held, tag := range tags {
			for accept := range tags {
				r := g.Get("/doc", "Accept-Encoding", accept, "If-None-Match", tag)
				if r.Status != 304 || r.Header.Get("Etag") != tag {
					t.Errorf("%s held, %s accepted: %d with %s, want 304 with %s", held, accept, r.Status, r.Header.Get("Etag"), tag)
				}
			}
			r := g.Get("/doc", "Range", "bytes=5-9", "If-Range", tag)
			if want := map[bool]int{true: 206, false: 200}[held == "identity"]; r.Status != want {
				t.Errorf("If-Range: %s: %d, want %d", tag, r.Status, want)
			}
		}
		if r := g.Get("/doc", "Accept-Encoding", "gzip", "If-None-Match", `"v2"`); r.Status != 200 {
			t.Errorf("another tag: %d", r.Status)
		}
	}
}

// Once responses are known to be for one client alone, a client's conditions reach the origin, which then need not make the content.
func TestConditionsReachOriginOfPrivateResponses(t *testing.T) {
	cases := map[string][]string{
		"private":    {"Cache-Control", "private"},
		"no-store":   {"Cache-Control", "no-store"},
		"Set-Cookie": {"Cache-Control", "max-age=60", "Set-Cookie", "a=b"},
		"Vary: *":    {"Cache-Control", "max-age=60", "Vary", "*"},
		"coded":      {"Cache-Control", "private", "X-Coded", "1"},
	}
	for name, fields := range cases {
		t.Run(name, func(t *testing.T) {
			origin := editable(t, `"p"`, fields...)
			g := gatewaytest.Route(t, origin.URL, "compress: {min_size: 10}\ncache: {enabled: true}")
			accept := "identity"
			if name == "coded" {
				accept = "gzip"
			}
			tag := g.Get("/r", "Accept-Encoding", accept).Header.Get("Etag")
			for i := range 4 {
				r := g.Get("/r", "Accept-Encoding", accept, "If-None-Match", tag)
				if r.Status != 304 || r.Header.Get("Etag") != tag {
					t.Errorf("request %d: %d, Etag: %s", i, r.Status, r.Header.Get("Etag"))
				}
				if got := origin.Seen(-1).Header.Get("If-None-Match"); got != `"p"` {
					t.Errorf("request %d reaches the origin with If-None-Match: %s", i, got)
				}
			}
			if r := g.Get("/r", "Accept-Encoding", accept, "If-None-Match", `"old"`); r.Status != 200 {
				t.Errorf("another tag: %d", r.Status)
			}
		})
	}
}
