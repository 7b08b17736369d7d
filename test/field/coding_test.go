package field

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
)

// codedOrigin answers in the first of its codings that the request accepts, which the body names, and without a coding if it accepts none. Its
// answers must not be transformed.
func codedOrigin(t *testing.T, status int, control string, codings ...string) *gatewaytest.Origin {
	return gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/plain")
		h.Set("Vary", "Accept-Encoding")
		h.Set("Cache-Control", control)
		body := "plain"
		for _, coding := range codings {
			if acceptsAll(r.Header.Get("Accept-Encoding"), coding) {
				h.Set("Content-Encoding", coding)
				body = "bytes in " + coding
				break
			}
		}
		h.Set("ETag", fmt.Sprintf("%q", strings.ReplaceAll(body, " ", "-")))
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

// acceptsAll reports whether a simple Accept-Encoding value names each of the codings without refusing it.
func acceptsAll(accept, codings string) bool {
	for coding := range strings.SplitSeq(codings, ", ") {
		accepted := false
		for member := range strings.SplitSeq(accept, ",") {
			name, weight, _ := strings.Cut(strings.TrimSpace(member), ";")
			accepted = accepted || name == coding && weight != "q=0"
		}
		if !accepted {
			return false
		}
	}
	return true
}

// readable fails the test unless the client that sent accept can read the response.
func readable(t *testing.T, accept string, r *gatewaytest.Response, head bool) {
	t.Helper()
	coding := r.Header.Get("Content-Encoding")
	if r.Err != nil || coding != "" && !acceptsAll(accept, coding) {
		t.Errorf("Accept-Encoding %q is answered in %q (%v)", accept, coding, r.Err)
	}
	want := "plain"
	if coding != "" {
		want = "bytes in " + coding
	}
	if !head && r.Status != http.StatusPartialContent && r.Body != want {
		t.Errorf("Content-Encoding %q with the body %q", coding, r.Body)
	}
}

const (
	compressed       = "compress: {min_size: 1, encodings: [zstd, br, gzip]}\n"
	compressedCached = compressed + "cache: {enabled: true}\n"
)

// A client gets only codings that it accepts, from whatever place the answer comes and whoever asked before.
func TestClientGetsOnlyCodingsItAccepts(t *testing.T) {
	const kept, never, own = "max-age=60, no-transform", "no-store, no-transform", "private, no-transform"
	cases := []struct {
		name    string
		route   string
		status  int
		control string
		codings []string
		method  string
		accepts []string // of the clients, one after the other
		fields  []string
	}{
		{"fresh from the origin", compressedCached, 200, kept, []string{"br"}, "GET", []string{"identity"}, nil},
		{"a route without a cache", compressed, 200, kept, []string{"br"}, "GET", []string{"identity", "gzip"}, nil},
		{"stored for a client that reads it", compressedCached, 200, kept, []string{"br"}, "GET", []string{"br", "identity", "gzip", "br", "br;q=0, gzip"}, nil},
		{"stored for a client that reads nothing", compressedCached, 200, kept, []string{"br", "gzip"}, "GET", []string{"", "br", "gzip", ""}, nil},
		{"HEAD of a response that is not stored", compressedCached, 200, kept, []string{"br"}, "HEAD", []string{"identity", "gzip"}, nil},
		{"HEAD on a route without a cache", compressed, 200, kept, []string{"br"}, "HEAD", []string{"identity"}, nil},
		{"an answer for one client", compressedCached, 200, own, []string{"zstd", "gzip"}, "GET", []string{"identity", "gzip", "identity"}, nil},
		{"an answer that is never stored", compressedCached, 200, never, []string{"br"}, "GET", []string{"gzip", "identity"}, nil},
		{"a status that is never stored", compressedCached, 418, "no-transform", []string{"br"}, "GET", []string{"identity", "br"}, nil},
		{"an error of the origin", compressedCached, 500, never, []string{"br"}, "GET", []string{"identity"}, nil},
		{"stacked codings", compressedCached, 200, kept, []string{"br, gzip"}, "GET", []string{"gzip", "identity", "gzip, br", "br"}, nil},
		{"identity is refused", compressedCached, 200, kept, []string{"br", "gzip"}, "GET", []string{"identity;q=0, gzip", "br;q=0, identity;q=0, gzip"}, nil},
		{"a part of a stored response", compressedCached, 200, kept, []string{"br"}, "GET", []string{"br", "identity"}, []string{"Range", "bytes=0-3"}},
		{"a client's no-store", compressedCached, 200, kept, []string{"br"}, "GET", []string{"identity"}, []string{"Cache-Control", "no-store"}},
		{"POST", compressedCached, 200, kept, []string{"br"}, "POST", []string{"identity", "gzip"}, nil},
		{"a route that codes nothing itself", "cache: {enabled: true}\n", 200, kept, []string{"br", "gzip"}, "GET", []string{"br", "identity", "gzip"}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			origin := codedOrigin(t, c.status, c.control, c.codings...)
			g := gatewaytest.Route(t, origin.URL, c.route)
			for range 2 {
				for _, accept := range c.accepts {
					fields := c.fields
					if accept != "" {
						fields = append([]string{"Accept-Encoding", accept}, fields...)
					}
					readable(t, accept, g.Do(c.method, "/x", nil, fields...), c.method == "HEAD")
				}
			}
		})
	}
}

// Clients that wait for another's call get its answer only if they accept its coding.
func TestWaitingClientsGetOnlyCodingsTheyAccept(t *testing.T) {
	gate := gatewaytest.NewGate(t)
	coded := codedOrigin(t, 200, "max-age=60, no-transform", "br")
	origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		gate.Wait()
		coded.Config.Handler.ServeHTTP(w, r)
	})
	g := gatewaytest.Route(t, origin.URL, compressedCached)
	leader := g.Go("/x", "Accept-Encoding", "br")
	gate.Came(t)
	accepts := []string{"identity", "gzip", "br", "identity", "gzip", "br"}
	var followers []<-chan *gatewaytest.Response
	for _, accept := range accepts {
		followers = append(followers, g.Go("/x", "Accept-Encoding", accept))
	}
	g.AwaitWaiting(len(accepts))
	gate.Open()
	readable(t, "br", g.Await(leader), false)
	for i, accept := range accepts {
		readable(t, accept, g.Await(followers[i]), false)
	}
}

// An origin that sends a coding to everybody is believed, but each other Accept-Encoding is put to it, and no client pays for two calls each time.
func TestOriginThatIgnoresAcceptEncoding(t *testing.T) {
	for _, coding := range []string{"compress", "aws-chunked", "utf-8", "gzip, br"} {
		t.Run(coding, func(t *testing.T) {
			origin := gatewaytest.NewOrigin(t, gatewaytest.Text("bytes", "Content-Encoding", coding, "Cache-Control", "max-age=60"))
			g := gatewaytest.Route(t, origin.URL, compressedCached)
			for range 3 {
				for _, accept := range []string{"gzip", "deflate", coding} {
					if r := g.Get("/x", "Accept-Encoding", accept); r.Status != 200 || r.Body != "bytes" || r.Header.Get("Content-Encoding") != coding {
						t.Errorf("Accept-Encoding %s: %d %q in %q", accept, r.Status, r.Body, r.Header.Get("Content-Encoding"))
					}
				}
			}
			if n := origin.Calls(); n > 4 {
				t.Errorf("the origin is called %d times", n)
			}
		})
	}
}

// A coding that may be taken off still costs one call, and one stored response serves all.
func TestOneCallServesAllCodings(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, gatewaytest.Text(strings.Repeat("text ", 100), "Cache-Control", "max-age=60"))
	g := gatewaytest.Route(t, origin.URL, compressedCached)
	for _, accept := range []string{"gzip", "br", "zstd", "identity", "gzip, br", "identity;q=0, br", "*"} {
		if r := g.Get("/x", "Accept-Encoding", accept); r.Status != 200 {
			t.Errorf("Accept-Encoding %s: %d", accept, r.Status)
		}
	}
	if origin.Calls() != 1 {
		t.Errorf("the origin is called %d times", origin.Calls())
	}
}

// Of clients that share a coding which must not be taken off, all but the first get a hit.
func TestFixedCodingKeepsItsHits(t *testing.T) {
	origin := codedOrigin(t, 200, "max-age=60, no-transform", "gzip")
	g := gatewaytest.Route(t, origin.URL, compressedCached)
	for _, accept := range []string{"gzip", "gzip, br", "gzip, deflate, br, zstd", "identity", "br", ""} {
		var fields []string
		if accept != "" {
			fields = []string{"Accept-Encoding", accept}
		}
		readable(t, accept, g.Get("/x", fields...), false)
	}
	if n := origin.Calls(); n > 2 {
		t.Errorf("two forms cost %d calls", n)
	}
}

// A method that must not be repeated is sent once, with what the client accepts.
func TestUnsafeRequestIsAskedOnceWithOwnCodings(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		for _, route := range []string{compressed, compressedCached} {
			origin := codedOrigin(t, 200, "no-transform", "br", "gzip")
			g := gatewaytest.Route(t, origin.URL, route)
			readable(t, "gzip", g.Do(method, "/x", strings.NewReader("body"), "Accept-Encoding", "gzip"), false)
			if n := origin.Calls(); n != 1 {
				t.Errorf("%s is sent %d times", method, n)
			}
		}
	}
}
