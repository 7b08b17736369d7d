package cachepolicy

import (
	"net/http"
	"testing"
)

func TestWritesThatRefresh(t *testing.T) {
	for _, tt := range []struct {
		method    string
		status    int
		location  []string
		refreshes bool
		says      bool // without trust
		trusted   bool // if the rules trust it
	}{
		{"PUT", 200, nil, true, false, true},
		{"PUT", 201, nil, true, false, true},
		{"PUT", 204, nil, true, false, false},
		{"PUT", 200, []string{"/a?b"}, true, true, true},
		{"PUT", 200, []string{"http://h/a?b"}, true, true, true},
		{"PUT", 200, []string{"https://h/a?b"}, true, false, false},
		{"PUT", 200, []string{"http://other/a?b"}, true, false, false},
		{"PUT", 200, []string{"/a"}, true, false, false},
		{"PUT", 200, []string{"/a?b", "/a?b"}, true, false, false},
		{"PATCH", 200, nil, true, false, true},
		{"POST", 200, nil, true, false, false},
		{"POST", 201, []string{"/a?b"}, true, true, true},
		{"PUT", 202, []string{"/a?b"}, false, false, false},
		{"PUT", 303, nil, false, false, false},
		{"PUT", 500, []string{"/a?b"}, false, false, false},
		{"DELETE", 200, []string{"/a?b"}, false, false, false},
		{"FROB", 200, nil, false, false, false},
		{"GET", 200, nil, false, false, false},
	} {
		q := &Request{Method: tt.method, Scheme: "http", Host: "h", Path: "/a", RawQuery: "b", Header: http.Header{}}
		a := &Answer{Status: tt.status, Header: http.Header{"Content-Location": tt.location}}
		if got := Refreshes(q, a); got != tt.refreshes {
			t.Errorf("%+v: Refreshes says %t", tt, got)
		}
		if got := Represents(q, a, false); got != tt.says {
			t.Errorf("%+v: Represents says %t of an untrusted response", tt, got)
		}
		if got := Represents(q, a, true); got != tt.trusted {
			t.Errorf("%+v: Represents says %t of a trusted response", tt, got)
		}
	}
}

func TestReadHeader(t *testing.T) {
	in := http.Header{
		"Accept": {"a", "b"}, "Authorization": {"x"}, "Cookie": {"c=1"}, "Cache-Control": {"no-store"},
		"Content-Type": {"text/plain"}, "Content-Encoding": {"gzip"}, "If-Match": {"*"}, "Idempotency-Key": {"k"}, "X-Http-Method-Override": {"DELETE"}, "Prefer": {"return=minimal"},
	}
	out := ReadHeader(in)
	if len(out) != 4 || len(out["Accept"]) != 2 || out.Get("Authorization") != "x" || out.Get("Cookie") != "c=1" || out.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", out)
	}
	out["Accept"][0] = "changed"
	if in["Accept"][0] != "a" {
		t.Error("the write's own header was changed")
	}
}
