package cachepolicy

import (
	"net/http"
	"testing"
)

func TestApplyCacheControl(t *testing.T) {
	r := &Rules{CacheControl: []CacheControlRule{
		{Extensions: []string{"jpg", "css", "js"}, Set: "public, max-age=31536000, immutable"},
		{Extensions: []string{"html"}, Set: "max-age=300"},
		{Extensions: []string{"dat"}, Set: "max-age=77"},
		{ContentTypes: []string{"application/json"}, Status: []int{200, 206}, Set: "no-store", Override: true},
		{ContentTypes: []string{"Image/*"}, Set: "max-age=9"},
		{Status: []int{404}, Set: "max-age=10"},
		{ContentTypes: []string{"text/xml"}, Set: "public"},
		{ContentTypes: []string{"text/xml"}, Set: "no-store"},
	}}
	for _, c := range []struct {
		path, contentType, sent string
		status                  int
		want                    string
	}{
		{"/a/x.css", "text/css; charset=utf-8", "", 200, "public, max-age=31536000, immutable"},
		{"/a/X.CSS", "TEXT/CSS", "", 200, "public, max-age=31536000, immutable"},
		{"/a/x.css", "text/css", "max-age=1", 200, "max-age=1"},
		{"/account/x.css", "text/html", "", 200, ""},
		{"/account;x.css", "text/css", "", 200, ""},
		{"/account%2fx.css", "text/css", "", 200, ""},
		{"/account/x.css/", "text/css", "", 200, ""},
		{"/x.css/account", "text/css", "", 200, ""},
		{"/account/x.css", "", "", 200, ""},
		{"/x.jpg", "image/jpeg", "", 200, "public, max-age=31536000, immutable"},
		{"/x.jpg", "image/png", "", 200, "max-age=9"},
		{"/x.html", "text/html", "", 200, "max-age=300"},
		{"/x.dat", "application/octet-stream", "", 200, "max-age=77"},
		{"/x.dat", "text/html", "", 200, ""},
		{"/x.dat", "", "", 200, ""},
		{"/api", "application/json", "max-age=60", 200, "no-store"},
		{"/api", "application/json", "max-age=60", 201, "max-age=60"},
		{"/api", "application/json", "", 404, "max-age=10"},
		{"/a/x.css", "text/css", "", 404, "max-age=10"},
		{"/a/x.css", "text/css", "", 500, ""},
		{"/a/x.css", "text/css", "", 301, "public, max-age=31536000, immutable"},
		{"/x", "text/xml", "", 200, "public"},
		{"/x", "text/xml", "", 503, "no-store"},
		{"/api", "text/plain", "", 304, ""},
		{"/api", "application/json", "max-age=60", 304, "max-age=60"},
	} {
		h := http.Header{"Content-Type": {c.contentType}}
		if c.sent != "" {
			h.Set("Cache-Control", c.sent)
		}
		r.ApplyCacheControl(&Request{Path: c.path}, c.status, h)
		if got := h.Get("Cache-Control"); got != c.want {
			t.Errorf("%s %s %d, sent %q: got %q, want %q", c.path, c.contentType, c.status, c.sent, got, c.want)
		}
	}
}

// TestApplyAbsent checks that Expires counts like Cache-Control, and that an overriding rule
// removes both.
func TestApplyAbsent(t *testing.T) {
	sent := http.Header{"Expires": {"0"}, "Pragma": {"no-cache"}, "Cdn-Cache-Control": {"max-age=1"}}
	h := sent.Clone()
	(&Rules{CacheControl: []CacheControlRule{{Set: "max-age=5"}}}).ApplyCacheControl(&Request{Path: "/"}, 200, h)
	if len(h) != 3 {
		t.Errorf("a rule for absent fields made %v", h)
	}
	(&Rules{CacheControl: []CacheControlRule{{Set: "max-age=5", Override: true}}}).ApplyCacheControl(&Request{Path: "/"}, 200, h)
	if len(h) != 1 || h.Get("Cache-Control") != "max-age=5" {
		t.Errorf("an overriding rule made %v", h)
	}
}

// TestRulesOutliveValidation checks that a rule's change holds after validation. A 304 brings the
// origin's own Cache-Control and has no Content-Type.
func TestRulesOutliveValidation(t *testing.T) {
	r := &Rules{Enabled: true, CacheControl: []CacheControlRule{{ContentTypes: []string{"text/css"}, Set: "max-age=600", Override: true}}}
	q := tableRequest("GET /a.css")
	a := tableAnswer(`200 [Content-Type: text/css] [Cache-Control: max-age=5] [ETag: "a"]`, t0)
	r.ApplyCacheControl(q, a.Status, a.Header)
	v := r.Settle(q, nil, a, t0, 0)
	if v.Effect != Store || v.Meta.Lifetime.Seconds() != 600 {
		t.Fatalf("stored: %s", printVerdict(v, t0))
	}
	b := tableAnswer(`304 [Cache-Control: max-age=5] [ETag: "a"]`, t0)
	b.Stored = a.Header
	r.ApplyCacheControl(q, b.Status, b.Header)
	v = r.Settle(q, &v.Meta, b, t0, 0)
	if v.Effect != Freshen || v.Meta.Lifetime.Seconds() != 600 || v.Header.Get("Cache-Control") != "max-age=600" {
		t.Errorf("validated: %s, %v", printVerdict(v, t0), v.Header)
	}
}
