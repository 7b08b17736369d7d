package cachepolicy

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	dayBefore = "Thu, 01 Jan 2026 03:04:05 GMT"
	sameDay   = "Fri, 02 Jan 2026 03:04:05 GMT"
	dayAfter  = "Sat, 03 Jan 2026 03:04:05 GMT"
)

// storedOn is a stored 200 with both validators, modified on sameDay.
func storedOn() Meta {
	modified := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return Meta{Status: 200, ETag: `"v1"`, LastModified: modified, Date: modified.Add(time.Hour), Total: 10}
}

func TestEvaluate(t *testing.T) {
	both := storedOn()
	edit := func(f func(*Meta)) Meta { m := storedOn(); f(&m); return m }
	noTag := edit(func(m *Meta) { m.ETag = "" })
	noDate := edit(func(m *Meta) { m.LastModified = time.Time{} })
	received := edit(func(m *Meta) {
		m.LastModified, m.Date = time.Time{}, time.Date(2026, 1, 2, 3, 4, 5, 999e6, time.UTC)
	})
	bare := edit(func(m *Meta) { m.ETag, m.LastModified, m.Date = "", time.Time{}, time.Time{} })
	weak := edit(func(m *Meta) { m.ETag = `W/"v1"` })
	for _, c := range []struct {
		name   string
		m      Meta
		fields []string
		want   Precondition
	}{
		{"no condition", both, nil, Full},

		{"If-None-Match", both, []string{"If-None-Match", `"v1"`}, NotModified},
		{"If-None-Match, other", both, []string{"If-None-Match", `"v2"`}, Full},
		{"If-None-Match, the gateway's weakened tag", both, []string{"If-None-Match", `W/"v1"`}, NotModified},
		{"If-None-Match, weak stored", weak, []string{"If-None-Match", `"v1"`}, NotModified},
		{"If-None-Match, both weak", weak, []string{"If-None-Match", `W/"v1"`}, NotModified},
		{"If-None-Match, star", both, []string{"If-None-Match", "*"}, NotModified},
		{"If-None-Match, star without a tag", noTag, []string{"If-None-Match", "*"}, NotModified},
		{"If-None-Match, no tag stored", noTag, []string{"If-None-Match", `"v1"`}, Full},
		{"If-None-Match, on its second line", both, []string{"If-None-Match", `"a"`, "If-None-Match", `"b", "v1"`}, NotModified},
		{"If-None-Match, empty", both, []string{"If-None-Match", ""}, Full},

		{"If-Modified-Since, same", both, []string{"If-Modified-Since", sameDay}, NotModified},
		{"If-Modified-Since, later", both, []string{"If-Modified-Since", dayAfter}, NotModified},
		{"If-Modified-Since, earlier", both, []string{"If-Modified-Since", dayBefore}, Full},
		{"If-Modified-Since, RFC 850", both, []string{"If-Modified-Since", "Friday, 02-Jan-26 03:04:05 GMT"}, NotModified},
		{"If-Modified-Since, asctime", both, []string{"If-Modified-Since", "Fri Jan  2 03:04:05 2026"}, NotModified},
		{"If-Modified-Since, no date", both, []string{"If-Modified-Since", "yesterday"}, Full},
		{"If-Modified-Since, twice", both, []string{"If-Modified-Since", sameDay, "If-Modified-Since", sameDay}, Full},
		{"If-Modified-Since, Date stands in", noDate, []string{"If-Modified-Since", dayAfter}, NotModified},
		{"If-Modified-Since, before Date", noDate, []string{"If-Modified-Since", sameDay}, Full},
		{"If-Modified-Since, time of receipt stands in", received, []string{"If-Modified-Since", sameDay}, NotModified},
		{"If-Modified-Since, nothing known", bare, []string{"If-Modified-Since", dayAfter}, Full},

		{"a tag that differs wins over a date", both, []string{"If-None-Match", `"v2"`, "If-Modified-Since", dayAfter}, Full},
		{"a tag that matches wins over a date", both, []string{"If-None-Match", `"v1"`, "If-Modified-Since", dayBefore}, NotModified},
		{"an empty list wins over a date", both, []string{"If-None-Match", "", "If-Modified-Since", dayAfter}, Full},

		{"If-Match", both, []string{"If-Match", `"v0", "v1"`}, Full},
		{"If-Match, other", both, []string{"If-Match", `"v2"`}, Failed},
		{"If-Match, star", both, []string{"If-Match", "*"}, Full},
		{"If-Match, weak is not enough", both, []string{"If-Match", `W/"v1"`}, Failed},
		{"If-Match, weak stored", weak, []string{"If-Match", `W/"v1"`}, Failed},
		{"If-Match, unquoted", both, []string{"If-Match", "v1"}, Failed},
		{"If-Match, no tag stored", noTag, []string{"If-Match", `"v1"`}, Failed},
		{"If-Match comes before If-None-Match", both, []string{"If-Match", `"v2"`, "If-None-Match", `"v1"`}, Failed},
		{"If-Match and If-None-Match", both, []string{"If-Match", `"v1"`, "If-None-Match", `"v1"`}, NotModified},

		{"If-Unmodified-Since, same", both, []string{"If-Unmodified-Since", sameDay}, Full},
		{"If-Unmodified-Since, earlier", both, []string{"If-Unmodified-Since", dayBefore}, Failed},
		{"If-Unmodified-Since, no date", both, []string{"If-Unmodified-Since", "x"}, Full},
		{"If-Unmodified-Since, none stored", noDate, []string{"If-Unmodified-Since", dayBefore}, Full},
		{"If-Match wins over If-Unmodified-Since", both, []string{"If-Match", `"v1"`, "If-Unmodified-Since", dayBefore}, Full},
		{"If-Unmodified-Since, then If-None-Match", both, []string{"If-Unmodified-Since", sameDay, "If-None-Match", `"v1"`}, NotModified},

		{"a stored part", edit(func(m *Meta) { m.Status = 206 }), []string{"If-None-Match", `"v1"`}, NotModified},
		{"a stored 404", edit(func(m *Meta) { m.Status = 404 }), []string{"If-None-Match", `"v1"`}, Full},
		{"a stored 301", edit(func(m *Meta) { m.Status = 301 }), []string{"If-Match", `"v2"`}, Full},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			q := requestFor("/", c.fields...)
			q.Method = method
			if got := Evaluate(q, &c.m); got != c.want {
				t.Errorf("%s %s: %v, want %v", method, c.name, got, c.want)
			}
		}
		q := requestFor("/", c.fields...)
		q.Method = "POST"
		if got := Evaluate(q, &c.m); got != Full {
			t.Errorf("POST %s: %v", c.name, got)
		}
	}
}

func TestConditional(t *testing.T) {
	client := http.Header{
		"If-Match": {"a"}, "If-None-Match": {"b"}, "If-Modified-Since": {"c"}, "If-Unmodified-Since": {"d"}, "If-Range": {"e"}, "Range": {"f"}, "Accept": {"*/*"},
	}
	for _, c := range []struct {
		name   string
		stored *Meta
		want   http.Header
	}{
		{"nothing stored", nil, http.Header{"Accept": {"*/*"}}},
		{"no validator", &Meta{}, http.Header{"Accept": {"*/*"}}},
		{"tag", &Meta{ETag: `W/"x"`}, http.Header{"Accept": {"*/*"}, "If-None-Match": {`W/"x"`}}},
		{"malformed tag, byte for byte", &Meta{ETag: "x\xfcy"}, http.Header{"Accept": {"*/*"}, "If-None-Match": {"x\xfcy"}}},
		{"date in another zone", &Meta{LastModified: time.Date(2026, 1, 2, 4, 4, 5, 0, time.FixedZone("", 3600))}, http.Header{"Accept": {"*/*"}, "If-Modified-Since": {sameDay}}},
		{"both", new(storedOn()), http.Header{"Accept": {"*/*"}, "If-None-Match": {`"v1"`}, "If-Modified-Since": {sameDay}}},
	} {
		dst := client.Clone()
		Conditional(dst, c.stored)
		if diff := cmp.Diff(c.want, dst); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestOurConditionsHold checks that Evaluate answers the condition of Conditional with 304 for the
// same response.
func TestOurConditionsHold(t *testing.T) {
	for _, tag := range []string{"", `"v1"`, `W/"v1"`, "v1", `w/"v1"`, `W\"v1"`, `W"v1"`, `"a, b"`, `"v1ü"`, `""`, `"`} {
		m := storedOn()
		m.ETag = tag
		q := requestFor("/")
		Conditional(q.Header, &m)
		if got := Evaluate(q, &m); got != NotModified {
			t.Errorf("%q asked with %q: %v", tag, q.Header, got)
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	q := requestFor("/", "If-None-Match", `"a", "v1"`)
	m := storedOn()
	b.ReportAllocs()
	for b.Loop() {
		Evaluate(q, &m)
	}
}
