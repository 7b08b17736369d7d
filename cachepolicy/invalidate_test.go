package cachepolicy

import (
	"net/http"
	"slices"
	"testing"
)

func TestInvalidates(t *testing.T) {
	for _, c := range []struct {
		method string
		answer Answer
		want   bool
	}{
		{"POST", Answer{Status: 200}, true},
		{"PUT", Answer{Status: 204}, true},
		{"DELETE", Answer{Status: 303}, true},
		{"PATCH", Answer{Status: 399}, true},
		{"M-SEARCH", Answer{Status: 200}, true},
		{"get", Answer{Status: 200}, true}, // methods are case-sensitive: this one is unknown
		{"POST", Answer{Status: 500}, false},
		{"POST", Answer{Status: 404}, false},
		{"POST", Answer{Status: 103}, false},
		{"POST", Answer{Status: 200, Failure: FailureTimeout}, false},
		{"GET", Answer{Status: 200}, false},
		{"HEAD", Answer{Status: 200}, false},
		{"OPTIONS", Answer{Status: 200}, false},
		{"TRACE", Answer{Status: 200}, false},
		{"QUERY", Answer{Status: 200}, false},
		{"PROPFIND", Answer{Status: 207}, false},
	} {
		q := requestFor("/a")
		q.Method = c.method
		if got := Invalidates(q, &c.answer); got != c.want {
			t.Errorf("%s answered %d: %v", c.method, c.answer.Status, got)
		}
		c.answer.Header = http.Header{"Location": {"/b"}}
		if got := len(InvalidatedURLs(q, &c.answer)) > 0; got != c.want {
			t.Errorf("%s answered %d with Location: %v", c.method, c.answer.Status, got)
		}
	}
}

func TestInvalidatedURLs(t *testing.T) {
	for _, c := range []struct {
		name string
		h    http.Header
		want []string
	}{
		{"none", http.Header{}, nil},
		{"Location", http.Header{"Location": {"/b?x=1"}}, []string{"https://example.test/b?x=1"}},
		{"Content-Location", http.Header{"Content-Location": {"c"}}, []string{"https://example.test/dir/c"}},
		{"both", http.Header{"Location": {"/b"}, "Content-Location": {"../c"}}, []string{"https://example.test/b", "https://example.test/c"}},
		{"both the same", http.Header{"Location": {"/b"}, "Content-Location": {"https://EXAMPLE.test:443/b#top"}}, []string{"https://example.test/b"}},
		{"its own URL", http.Header{"Location": {"/dir/a?q=1"}}, nil},
		{"its own path without the query", http.Header{"Location": {"/dir/a"}}, []string{"https://example.test/dir/a"}},
		{"another host", http.Header{"Location": {"https://other.test/b"}}, nil},
		{"another port", http.Header{"Location": {"https://example.test:8443/b"}}, nil},
		{"another scheme", http.Header{"Location": {"http://example.test/b"}}, nil},
		{"network path", http.Header{"Location": {"//other.test/b"}}, nil},
		{"user information", http.Header{"Location": {"https://example.test@other.test/b"}}, nil},
		{"no URL", http.Header{"Location": {"https://[::1/b"}, "Content-Location": {""}}, nil},
		{"no http", http.Header{"Location": {"mailto:a@example.test"}}, nil},
	} {
		q := requestFor("/dir/a?q=1")
		q.Method = "PUT"
		if got := InvalidatedURLs(q, &Answer{Status: 201, Header: c.h}); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestInvalidatedURLsHaveTheKeysOfTheirGET checks that the key of a URL in Location is the key of a
// client's GET for it.
func TestInvalidatedURLsHaveTheKeysOfTheirGET(t *testing.T) {
	r := &Rules{Route: "r", QueryExclude: []string{"utm_*"}}
	for ref, path := range map[string]string{"/b%2Fc?x=%20&utm_a=1": "/b%2Fc?x=%20", "b": "/dir/b", "?y=2": "/dir/a?y=2", "/": "/", "/a//b;c": "/a//b;c"} {
		q := requestFor("/dir/a")
		q.Method = "POST"
		urls := InvalidatedURLs(q, &Answer{Status: 201, Header: http.Header{"Location": {ref}}})
		if len(urls) != 1 {
			t.Errorf("%s: %q", ref, urls)
			continue
		}
		if k, ok := r.URLKey(q, urls[0]); !ok || k != mustKey(t, r, requestFor(path)) {
			t.Errorf("%s becomes %s with the key %q", ref, urls[0], k.Full)
		}
	}
}

func TestCanonicalURL(t *testing.T) {
	base := &Request{Scheme: "http", Host: "h.test:8080", Path: "/x/y%2Fz", RawQuery: "q=1"}
	for _, c := range []struct{ ref, want string }{
		{"http://H.TEST:80/A%2fb", "http://h.test/A%2fb"},
		{"http://h.test.:80", "http://h.test/"},
		{"http://h.test.:81/", "http://h.test:81/"},
		{"HTTPS://h.test:443/", "https://h.test/"},
		{"https://h.test:80/", "https://h.test:80/"},
		{"http://[2001:DB8::1]:80/a", "http://[2001:db8::1]/a"},
		{"http://[2001:db8::1]/a", "http://[2001:db8::1]/a"},
		{"http://[2001:db8::1]:8080/a", "http://[2001:db8::1]:8080/a"},
		{"http://h.test:/a", "http://h.test/a"},
		{"w", "http://h.test:8080/x/w"},
		{"./w/../v?q", "http://h.test:8080/x/v?q"},
		{"?q=2", "http://h.test:8080/x/y%2Fz?q=2"},
		{"#f", "http://h.test:8080/x/y%2Fz?q=1"},
		{" /w ", "http://h.test:8080/w"},
		{"/a b", "http://h.test:8080/a%20b"},
		{"", ""},
		{"/%", ""},
		{"http:///a", ""},
		{"http:a", ""},
		{"ws://h.test/", ""},
		{"http://u:p@h.test/", ""},
		{"/a\x00b", ""},
	} {
		scheme, host, path, query, ok := CanonicalURL(base, c.ref)
		got := ""
		if ok {
			got = joinURL(scheme, host, path, query)
		}
		if got != c.want {
			t.Errorf("CanonicalURL(%q) = %q, want %q", c.ref, got, c.want)
		}
	}
}
