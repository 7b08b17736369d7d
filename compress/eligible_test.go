package compress

import (
	"net/http"
	"testing"
)

// header makes a header of name, value pairs.
func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestEligible(t *testing.T) {
	policy := Policy{Encodings: usual, MinSize: 500, Types: []string{"text/*", "application/json", "application/*+json", "image/svg+xml"}}
	const typ = "Content-Type"
	tests := []struct {
		name   string
		status int
		h      http.Header
		size   int64
		coding Coding
		want   Reason
	}{
		{"json", 200, header(typ, "application/json"), 5000, Identity, ReasonNone},
		{"of unknown size", 200, header(typ, "application/json"), -1, Identity, ReasonNone},
		{"as small as may be", 200, header(typ, "application/json"), 500, Identity, ReasonNone},
		{"too small", 200, header(typ, "application/json"), 499, Identity, ReasonSize},
		{"empty", 200, header(typ, "application/json"), 0, Identity, ReasonSize},
		{"an error page", 500, header(typ, "text/html"), 5000, Identity, ReasonNone},
		{"not found", 404, header(typ, "text/html"), 5000, Identity, ReasonNone},
		{"no content", 204, header(typ, "text/html"), -1, Identity, ReasonStatus},
		{"reset content", 205, header(typ, "text/html"), -1, Identity, ReasonStatus},
		{"not modified", 304, header(typ, "text/html"), -1, Identity, ReasonStatus},
		{"early hints", 103, header(typ, "text/html"), -1, Identity, ReasonStatus},
		{"partial", 206, header(typ, "text/html"), 5000, Identity, ReasonPartial},
		{"content-range", 200, header(typ, "text/html", "Content-Range", "bytes 0-1/2"), 5000, Identity, ReasonPartial},
		{"gzip already", 200, header(typ, "text/html"), 5000, Gzip, ReasonCoded},
		{"coded in ways unknown", 200, header(typ, "text/html"), 5000, Unknown, ReasonCoded},
		{"no-transform", 200, header(typ, "text/html", "Cache-Control", "max-age=1, No-Transform"), 5000, Identity, ReasonNoTransform},
		{"no-transform, second line", 200, header(typ, "text/html", "Cache-Control", "public", "Cache-Control", "no-transform"), 5000, Identity, ReasonNoTransform},
		{"no-transform in quotes", 200, header(typ, "text/html", "Cache-Control", `x="a, no-transform, b", public`), 5000, Identity, ReasonNone},
		{"content digest", 200, header(typ, "text/html", "Content-Digest", "sha-256=:AA==:"), 5000, Identity, ReasonDigest},
		{"content md5", 200, header(typ, "text/html", "Content-MD5", "AA=="), 5000, Identity, ReasonDigest},
		{"charset", 200, header(typ, "text/html; charset=utf-8"), 5000, Identity, ReasonNone},
		{"case of type", 200, header(typ, "Application/JSON"), 5000, Identity, ReasonNone},
		{"suffix", 200, header(typ, "application/problem+json"), 5000, Identity, ReasonNone},
		{"case of suffix", 200, header(typ, "application/vnd.api+JSON;v=1"), 5000, Identity, ReasonNone},
		{"other suffix", 200, header(typ, "application/problem+cbor"), 5000, Identity, ReasonType},
		{"event stream", 200, header(typ, "text/event-stream"), -1, Identity, ReasonNone},
		{"image", 200, header(typ, "image/png"), 5000, Identity, ReasonType},
		{"no type", 200, header(), 5000, Identity, ReasonType},
		{"half a type", 200, header(typ, "text"), 5000, Identity, ReasonType},
		{"empty subtype", 200, header(typ, "text/"), 5000, Identity, ReasonType},
		{"longer type", 200, header(typ, "application/jsonp"), 5000, Identity, ReasonType},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ok, why := policy.Eligible(tt.status, tt.h, tt.size, tt.coding)
			if why != tt.want || ok != (tt.want == ReasonNone) {
				t.Errorf("Eligible = %v, %v; want %v", ok, why, tt.want)
			}
		})
	}
}

func TestEligibleByDefaults(t *testing.T) {
	html := header("Content-Type", "text/html")
	if ok, why := (&Policy{}).Eligible(200, html, 5000, Identity); ok || why != ReasonOff {
		t.Errorf("a policy of no codings: %v, %v", ok, why)
	}
	p := Policy{Encodings: usual}
	if ok, why := p.Eligible(200, html, 1, Identity); !ok {
		t.Errorf("default types refuse text/html: %v", why)
	}
	if ok, why := p.Eligible(200, html, 0, Identity); ok || why != ReasonSize {
		t.Errorf("an empty body: %v, %v", ok, why)
	}
	if ok, _ := p.Eligible(200, header("Content-Type", "video/mp4"), 5000, Identity); ok {
		t.Error("default types take video/mp4")
	}
	p.Types = []string{}
	if ok, why := p.Eligible(200, html, 5000, Identity); ok || why != ReasonType {
		t.Errorf("a policy of no types: %v, %v", ok, why)
	}
	p.Types = []string{"*/*"}
	if ok, _ := p.Eligible(200, header("Content-Type", "video/mp4"), 5000, Identity); !ok {
		t.Error("*/* does not take video/mp4")
	}
}

func TestReasonStrings(t *testing.T) {
	seen := map[string]bool{}
	for r := ReasonNone; int(r) < len(reasons); r++ {
		if r.String() == "" || seen[r.String()] {
			t.Errorf("reason %d reads %q", r, r)
		}
		seen[r.String()] = true
	}
	if Reason(200).String() != "unknown" {
		t.Error("a reason that is none has a name")
	}
}
