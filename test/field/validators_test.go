package field

import (
	"net/http"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
)

// TestRevalidationBehindAServerThatCompresses: nginx weakens the tag of what it compresses, and sends the strong one with its 304. A 304 whose tag
// is the only one that was asked about, by weak comparison, validates.
func TestRevalidationBehindAServerThatCompresses(t *testing.T) {
	for _, c := range []struct {
		name           string
		stored, with   string // tags of the 200 and of the 304
		window         string
		validates      bool
		lastModifiedIn bool
	}{
		{"nginx with gzip on", `W/"6b0be184-1900"`, `"6b0be184-1900"`, "", true, true},
		{"the other way round", `"6b0be184-1900"`, `W/"6b0be184-1900"`, "", true, false},
		{"both weak", `W/"a"`, `W/"a"`, "", true, false},
		{"both strong", `"a"`, `"a"`, "", true, false},
		{"a 304 without a tag", `W/"a"`, "", "", true, false},
		{"a small w", `w/"a"`, `"a"`, "", true, false},
		{"in the background", `W/"a"`, `"a"`, ", stale-while-revalidate=60", true, false},
		{"another tag", `W/"a"`, `"b"`, "", false, false},
		{"another weak tag", `"a"`, `W/"b"`, "", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			full := 0
			o := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=10"+c.window)
				if c.lastModifiedIn {
					w.Header().Set("Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT")
				}
				if r.Header.Get("If-None-Match") != "" {
					if c.with != "" {
						w.Header().Set("Etag", c.with)
					}
					w.WriteHeader(http.StatusNotModified)
					return
				}
				full++
				gatewaytest.Text("content", "Etag", c.stored)(w, r)
			})
			g := gatewaytest.Route(t, o.URL, "cache: {enabled: true}")
			g.Get("/p")
			gatewaytest.Eventually(t, "the first call ends", func() bool { return g.Fills.Load() == 1 })
			for range 3 {
				g.Clock.Advance(11 * time.Second)
				fills := g.Fills.Load()
				if a := g.Get("/p"); a.Body != "content" || a.Header.Get("Etag") != c.stored {
					t.Errorf("%d %q with %q", a.Status, a.Body, a.Header.Get("Etag"))
				}
				gatewaytest.Eventually(t, "the call ends", func() bool { return g.Fills.Load() > fills })
			}
			if (full == 1) != c.validates {
				t.Errorf("%d full answers", full)
			}
		})
	}
}

// TestAnAgeThatIsNoNumber: RFC 9111 section 5.1. What is not a non-negative integer is ignored, and of several the first counts.
func TestAnAgeThatIsNoNumber(t *testing.T) {
	rows := []struct {
		lines []string
		fresh bool
	}{
		{[]string{"abc"}, true}, {[]string{"-1"}, true}, {[]string{"1.5"}, true}, {[]string{"+7200"}, true}, {[]string{"7200;a=b"}, true}, {[]string{`"7200"`}, true},
		{[]string{"0x1c20"}, true}, {[]string{"7200s"}, true}, {[]string{""}, true}, {[]string{"abc, 7200"}, true}, {[]string{"0, 7200"}, true}, {[]string{"0", "7200"}, true},
		{[]string{"7200, 0"}, false}, {[]string{"7200", "0"}, false}, {[]string{"7200"}, false}, {[]string{"007200"}, false}, {[]string{"99999999999999999999"}, false},
		{[]string{", 7200"}, false}, {[]string{"3599"}, true}, {[]string{"3600"}, false},
	}
	for _, way := range []string{"200", "304", "HEAD"} {
		for _, row := range rows {
			age := []string{}
			o := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Age"] = age
				w.Header().Set("Cache-Control", "max-age=3600")
				w.Header().Set("Etag", `"a"`)
				if r.Header.Get("If-None-Match") != "" {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				gatewaytest.Text("x")(w, r)
			})
			g := gatewaytest.Route(t, o.URL, "cache: {enabled: true}")
			if way != "200" {
				g.Get("/p")
				g.Clock.Advance(2 * time.Hour)
			}
			age = row.lines
			if way == "HEAD" {
				g.Do(http.MethodHead, "/p", nil)
			} else {
				g.Get("/p")
			}
			if a := g.Get("/p"); a.Hit() != row.fresh {
				t.Errorf("%s with Age %q: hit %v, want %v (%s)", way, row.lines, a.Hit(), row.fresh, a.Header.Get("Cache-Status"))
			}
		}
	}
}
