package cachepolicy

import (
	"net/http"
	"testing"
)

func TestFixedCoding(t *testing.T) {
	cases := []struct {
		status  int
		coding  []string
		control string
		want    string
	}{
		{200, nil, "no-transform", ""},
		{200, []string{"identity"}, "no-transform", ""},
		{200, []string{"gzip"}, "max-age=60", ""},
		{200, []string{"BR"}, "", ""},
		{200, []string{"gzip"}, "max-age=60, no-transform", "gzip"},
		{200, []string{"X-GZIP"}, "no-transform", "gzip"},
		{200, []string{"deflate"}, "", "deflate"},
		{200, []string{"aws-chunked"}, "", "aws-chunked"},
		{200, []string{"gzip, identity , BR"}, "", "gzip,br"},
		{200, []string{"gzip", "br"}, "", "gzip,br"},
		{206, []string{"gzip"}, "", "gzip"},
		{404, []string{"zstd"}, `x="no-transform"`, ""},
	}
	for _, c := range cases {
		h := http.Header{"Content-Encoding": c.coding, "Cache-Control": {c.control}}
		if got := FixedCoding(c.status, h); got != c.want {
			t.Errorf("FixedCoding(%d, %q, %q) = %q, want %q", c.status, c.coding, c.control, got, c.want)
		}
	}
}

func TestAcceptsCodings(t *testing.T) {
	cases := []struct {
		lines  []string
		coding string
		want   bool
	}{
		{nil, "gzip", false},
		{[]string{""}, "gzip", false},
		{[]string{"gzip"}, "gzip", true},
		{[]string{"x-GZIP"}, "gzip", true},
		{[]string{"compress"}, "compress", true},
		{[]string{"br", "gzip ; q=0.5"}, "gzip,br", true},
		{[]string{"gzip"}, "gzip,br", false},
		{[]string{"*"}, "aws-chunked", true},
		{[]string{"*;q=0, gzip"}, "br", false},
		{[]string{"*, br;q=0"}, "br", false},
		{[]string{"gzip;q=0, gzip"}, "gzip", false},
		{[]string{"gzip;q=0.000"}, "gzip", false},
		{[]string{"gzip;q=0.001"}, "gzip", true},
		{[]string{"gzip;q=2"}, "gzip", false},
		{[]string{"identity;q=0"}, "gzip", false},
	}
	for _, c := range cases {
		if got := acceptsCodings(c.lines, c.coding); got != c.want {
			t.Errorf("acceptsCodings(%q, %q) = %v", c.lines, c.coding, got)
		}
	}
}

// A response in a fixed coding is selected by that coding. Another request's variant is either the
// coding, if it accepts it, or its own field value.
func TestVaryOnFixedCoding(t *testing.T) {
	h := http.Header{"Content-Encoding": {"br"}, "Cache-Control": {"no-transform"}, "Vary": {"Accept-Encoding, Accept-Language"}}
	rules := &Rules{Transcodes: true}
	q := func(accept string) *Request {
		return &Request{Header: http.Header{"Accept-Encoding": {accept}, "Accept-Language": {"de"}}}
	}
	v, ok := rules.variant(q("br"), 200, h)
	if !ok || !v.Matches(q("gzip, br")) || v.Matches(q("gzip")) || v.Matches(&Request{Header: http.Header{"Accept-Language": {"de"}}}) {
		t.Errorf("variant = %q, %v", v, ok)
	}
	if v.For(q("br, zstd")) != v || v.For(q("gzip")) == v || v.For(q("gzip")) != v.For(q("gzip")) {
		t.Errorf("For: %q, %q", v.For(q("br, zstd")), v.For(q("gzip")))
	}
	refused, ok := rules.variant(q("gzip"), 200, h)
	if !ok || refused.Matches(q("br")) || !refused.Matches(q("gzip")) {
		t.Errorf("variant for a client that does not accept it = %q, %v", refused, ok)
	}
	for _, v := range []Vary{v, refused} {
		if !v.Holds("Accept-Encoding") {
			t.Errorf("%q does not hold Accept-Encoding", v)
		}
	}
	q0 := q("gzip, br")
	if n := testing.AllocsPerRun(100, func() { v.Matches(q0) }); n > 0 {
		t.Errorf("Matches allocates %v times", n)
	}
}
