package edge

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// net/http accepts some requests that RFC 9113 §8.1.1 calls malformed. None reaches a handler.
func TestMalformedHTTP2(t *testing.T) {
	for _, tt := range []struct {
		name, uri, field, value, body string
		ok                            bool
	}{
		{"plain", "/a", "X-A", "b", "", true},
		{"length", "/a", "Content-Length", "1", "a", true},
		{"length of nothing", "/a", "Content-Length", "0", "", true},
		{"length without content", "/a", "Content-Length", "5", "", false},
		{"length that is no number", "/a", "Content-Length", "abc", "a", false},
		{"length with a sign", "/a", "Content-Length", "+1", "a", false},
		{"space in front", "/a", "X-A", " b", "", false},
		{"tab behind", "/a", "X-A", "b\t", "", false},
		{"absolute path", "http://other.example/a", "X-A", "b", "", false},
	} {
		r := httptest.NewRequest("POST", tt.uri, http.NoBody)
		if tt.body != "" {
			r = httptest.NewRequest("POST", tt.uri, strings.NewReader(tt.body))
		}
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
		r.Header[tt.field] = []string{tt.value}
		if out, _, w := through(t, r); (out != nil) != tt.ok {
			t.Errorf("%s: %d", tt.name, w.Code)
		}
	}
}
