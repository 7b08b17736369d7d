package observe

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHideParam(t *testing.T) {
	for _, c := range [][2]string{
		{"/a", "/a"}, {"/a?b=1", "/a?b=1"}, {"/a?k=s3cret", "/a?k=REDACTED"}, {"/a?b=1&%6b=s3cret&c", "/a?b=1&%6b=REDACTED&c"}, {"https://h/a?k=s3cret&k=s3cret", "https://h/a?k=REDACTED&k=REDACTED"},
		{"k=1", "k=1"}, {"/a?k", "/a?k=REDACTED"},
	} {
		if got := HideParam(c[0], "k"); got != c[1] {
			t.Errorf("%s: %s, not %s", c[0], got, c[1])
		}
		if got := HideParam(c[0], ""); got != c[0] {
			t.Errorf("%s: %s", c[0], got)
		}
	}
}

// TestNoLogShowsAHiddenParameter: neither the access log nor a span shows the parameter.
func TestNoLogShowsAHiddenParameter(t *testing.T) {
	r := httptest.NewRequest("GET", "/a?k=s3cret&b=1", nil)
	r.Header.Set("Referer", "https://example.com/?k=s3cret")
	e, h := &Event{Hidden: "k"}, &Hit{Hidden: "k", Head: []byte("GET /a?k=s3cret&b=1 HTTP/1.1\r\nReferer: https://example.com/?k=s3cret\r\n\r\n")}
	for _, format := range []AccessFormat{FormatJSON, FormatCombined} {
		one, two := entryOf(e, r), entryOfHit(h)
		if line := string(two.append(one.append(nil, format), format)); strings.Contains(line, "s3cret") || strings.Count(line, "b=1") != 2 {
			t.Errorf("the log shows the parameter: %s", line)
		}
	}
	for _, a := range requestAttributes(e, r) {
		if value := a.Value.Emit(); strings.Contains(value, "s3cret") || a.Key == "url.query" && value != "k=REDACTED&b=1" {
			t.Errorf("a span shows the parameter: %s %s", a.Key, value)
		}
	}
}
