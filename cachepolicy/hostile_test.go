package cachepolicy

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestPrivateResponsesAreNotShared checks that no client gets a response that was made for another
// client.
func TestPrivateResponsesAreNotShared(t *testing.T) {
	authorized := http.Header{"Authorization": {"Basic x"}}
	for _, c := range []struct {
		request, response http.Header
		stored            bool
	}{
		{authorized, http.Header{"Cache-Control": {"max-age=60"}}, false},
		{authorized, http.Header{"Expires": {dates("{60}")}}, false},
		{authorized, http.Header{"Cache-Control": {"max-age=60, public"}}, true},
		{nil, http.Header{"Cache-Control": {"max-age=60"}, "Set-Cookie": {"sid=1"}}, false},
		{nil, http.Header{"Cache-Control": {"public, s-maxage=60"}, "Set-Cookie2": {"sid=1"}}, false},
	} {
		q := &Request{Method: "GET", Scheme: "http", Host: "a", Path: "/", Header: c.request}
		v := (&Rules{Enabled: true, TTLDefault: time.Hour, TTLMin: time.Hour}).Settle(q, nil, &Answer{Status: 200, Header: c.response, Sent: t0, Received: t0}, t0, 0)
		if (v.Effect == Store) != c.stored {
			t.Errorf("%v, %v: %s", c.request, c.response, printVerdict(v, t0))
		}
	}
}

// TestCookieOfA304IsNotShared checks that only the client whose request a 304 answers gets the
// cookie in it.
func TestCookieOfA304IsNotShared(t *testing.T) {
	r, q := &Rules{Enabled: true}, tableRequest("GET /")
	first := tableAnswer(`200 [Cache-Control: max-age=60] [ETag: "a"]`, t0)
	v := r.Settle(q, nil, first, t0, 0)
	update := tableAnswer(`304 [ETag: "a"] [Set-Cookie: sid=1]`, t0)
	update.Stored = first.Header
	if v = r.Settle(q, &v.Meta, update, t0, 0); v.Effect != Freshen || len(v.Header["Set-Cookie"]) != 0 {
		t.Errorf("%s: %v", printVerdict(v, t0), v.Header)
	}
}

// TestFilePathDoesNotMakeAPageCacheable checks that a path which looks like a file's does not make
// a page cacheable.
func TestFilePathDoesNotMakeAPageCacheable(t *testing.T) {
	r := &Rules{CacheControl: []CacheControlRule{{Extensions: []string{"css", "js", "json", "png", "zzz"}, Set: "max-age=60"}}}
	for _, path := range []string{
		"/account/x.css", "/account;x.css", "/account%2f..%2fx.css", "/static/..%2faccount.css", "/account%23x.css", "/account%3fx.css",
		"/account.json.css", "/account/x.zzz", "/account/.css", "/account/x.png", "/account%00.css", "/account%0a.js",
	} {
		h := http.Header{"Content-Type": {"text/html; charset=utf-8"}}
		r.ApplyCacheControl(&Request{Path: path}, 200, h)
		if len(h["Cache-Control"]) != 0 {
			t.Errorf("%s: the rule for files wrote %q", path, h["Cache-Control"])
		}
	}
}

// TestRequestErrorsAreNotShared checks that an error which a client's own fields can cause is
// stored for other clients only if the origin or the route allows it.
func TestRequestErrorsAreNotShared(t *testing.T) {
	q := tableRequest("GET / [X-Oversized: aaaa] [X-HTTP-Method-Override: DELETE]")
	for _, status := range []int{400, 405, 406, 412, 413, 414, 416, 417, 431, 500, 501, 502, 503, 504, 599} {
		r := &Rules{Enabled: true, TTLDefault: time.Hour, TTLMin: time.Minute, StaleRevalid: time.Hour, StaleError: time.Hour}
		settle := func(fields string) Verdict {
			_, h := cutFields(fields)
			return r.Settle(q, nil, &Answer{Status: status, Header: h, Sent: t0, Received: t0}, t0, 0)
		}
		for _, fields := range []string{"", `[ETag: "a"]`, "[Last-Modified: {-99999}]", "[Cache-Control: must-revalidate]", "[Cache-Control: no-cache] [ETag: \"a\"]"} {
			if v := settle(fields); v.Effect != Relay {
				t.Errorf("%d %s: %s", status, fields, printVerdict(v, t0))
			}
		}
		r.TTLStatus = map[int]time.Duration{status: time.Second}
		answersFields := status == 412 || status == 416 || status == 417
		if v := settle(""); (v.Effect == Store) == answersFields {
			t.Errorf("%d with a lifetime of the route's: %s", status, printVerdict(v, t0))
		}
	}
}

// TestIncompleteAnswersStayIncomplete checks that an incomplete answer never counts as complete.
func TestIncompleteAnswersStayIncomplete(t *testing.T) {
	r := &Rules{Enabled: true}
	stored := func() (*Meta, http.Header) {
		return storedBy(`200 [Cache-Control: max-age=60] [ETag: "a"] [Content-Length: 5]`, "", tableRequest("GET /"))
	}
	for _, c := range []struct {
		name, request, answer string
		stored                bool
		want                  Effect
	}{
		{"HEAD with another length", "HEAD /", "200 [Cache-Control: max-age=60] [Content-Length: 9]", true, Drop},
		{"HEAD with nothing stored", "HEAD /", "200 [Cache-Control: max-age=60] [Content-Length: 9]", false, Relay},
		{"304 to a request without condition", "GET /", `304 [Cache-Control: max-age=60] [ETag: "a"]`, false, Relay},
		{"304 with a new ETag", "GET /", `304 [Cache-Control: max-age=60] [ETag: "b"]`, true, Refetch},
		{"206 to a request without Range", "GET /", "206 [Cache-Control: max-age=60] [Content-Range: bytes 0-4/10]", false, Relay},
		{"206 to a request without Range, with the whole stored", "GET /", "206 [Cache-Control: max-age=60] [Content-Range: bytes 0-4/10]", true, Refetch},
		{"206 that says it is all", "GET /", "206 [Cache-Control: max-age=60] [Content-Range: bytes 0-9/10]", false, Relay},
	} {
		q := tableRequest(c.request)
		a := tableAnswer(c.answer, t0.Add(61*time.Second))
		var m *Meta
		if c.stored {
			m, a.Stored = stored()
		}
		if v := r.Settle(q, m, a, a.Received, 0); v.Effect != c.want {
			t.Errorf("%s: %s", c.name, printVerdict(v, a.Received))
		}
	}
}

// TestInvalidNumbersAndDates checks that invalid numbers and dates never make a response fresher
// and never overflow.
func TestInvalidNumbersAndDates(t *testing.T) {
	r, q := &Rules{Enabled: true}, tableRequest("GET /")
	garbage := []string{
		"-1", "+1", "1.5", "1e3", "0x10", "1 2", "'1'", "", " ", "junk", "\x00", "²", "1,2,3", strings.Repeat("9", 400), "9223372036854775808",
		"18446744073709551616", "2147483649", "-9223372036854775808", "NaN", "∞",
	}
	for _, g := range garbage {
		for _, h := range []http.Header{
			{"Cache-Control": {"max-age=" + g}},
			{"Cache-Control": {"s-maxage=" + g + ", max-age=60"}},
			{"Cache-Control": {"max-age=60, stale-while-revalidate=" + g + ", stale-if-error=" + g}},
			{"Cache-Control": {"max-age=60"}, "Age": {g}},
			{"Cache-Control": {"max-age=60"}, "Age": {g, g}},
			{"Cache-Control": {"max-age=60"}, "Date": {g}},
			{"Expires": {g}, "Date": {g}, "Age": {g}},
			{"Last-Modified": {g}},
			{"Content-Length": {g}, "Cache-Control": {"max-age=60"}},
		} {
			h["Etag"] = []string{`"a"`}
			v := r.Settle(q, nil, &Answer{Status: 200, Header: h, Sent: t0, Received: t0}, t0, 0.5)
			m := &v.Meta
			switch {
			case v.Effect != Store:
				t.Errorf("%v: %s", h, printVerdict(v, t0))
			case m.Lifetime < 0 || m.Lifetime > maxDelta || m.StaleRevalid < 0 || m.StaleRevalid > maxDelta || m.StaleError > maxDelta:
				t.Errorf("%v: out of bounds: %s", h, printMeta(m, t0))
			case m.Born.After(t0) || m.Age(t0) < 0 || m.Total < -1:
				t.Errorf("%v: out of bounds: %s", h, printMeta(m, t0))
			}
			d := r.Decide(q, m, t0.Add(10*time.Minute), 0)
			huge := strings.HasPrefix(g, "999") || g == "9223372036854775808" || g == "18446744073709551616" || g == "2147483649"
			if d.Action == Serve && !huge {
				t.Errorf("%v: fresh after ten minutes: %s", h, printDecision(d))
			}
		}
	}
}
