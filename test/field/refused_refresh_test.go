package field

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
)

// TestARefusalEndsWhatIsStored: what the origin answers to a refresh ends the stored response, or leaves it in its window.
func TestARefusalEndsWhatIsStored(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		fields []string
		asks   []string // fields of the client whose request is the refresh
		ends   bool
	}{
		{"forbidden", 403, nil, nil, true},
		{"unauthorized", 401, nil, nil, true},
		{"payment required", 402, nil, nil, true},
		{"not found", 404, nil, nil, true},
		{"not found and not to be stored", 404, []string{"Cache-Control", "no-store"}, nil, true},
		{"method not allowed", 405, nil, nil, true},
		{"gone", 410, nil, nil, true},
		{"locked", 423, nil, nil, true},
		{"for legal reasons", 451, nil, nil, true},
		{"forbidden, private", 403, []string{"Cache-Control", "private"}, nil, true},
		{"a redirect", 302, []string{"Location", "/login"}, nil, true},
		{"new content, no-store", 200, []string{"Cache-Control", "no-store"}, nil, true},
		{"new content, private", 200, []string{"Cache-Control", "private"}, nil, true},
		{"new content, Set-Cookie", 200, []string{"Cache-Control", "max-age=60", "Set-Cookie", "a=b"}, nil, true},
		{"new content, Vary: *", 200, []string{"Cache-Control", "max-age=60", "Vary", "*"}, nil, true},
		{"new content without freshness", 200, nil, nil, true},
		{"new content that is too large", 200, []string{"Cache-Control", "max-age=60", "X-Size", "large"}, nil, true},
		{"new content that is too large, of unknown size", 200, []string{"Cache-Control", "max-age=60", "X-Size", "endless"}, nil, true},
		{"an unusual success", 202, nil, nil, true},
		{"bad request", 400, nil, nil, false},
		{"not acceptable", 406, nil, nil, false},
		{"URI too long", 414, nil, nil, false},
		{"too many requests", 429, nil, nil, false},
		{"fields too large", 431, nil, nil, false},
		{"an origin that fails", 503, nil, nil, false},
		{"forbidden to one client's Authorization", 403, nil, []string{"Authorization", "Basic x"}, false},
		{"unauthorized for one client's Authorization", 401, nil, []string{"Authorization", "Basic x"}, false},
		{"forbidden to one client's cookie", 403, nil, []string{"Cookie", "session=x"}, false},
		{"forbidden to one client's key", 403, nil, []string{"X-Api-Key", "x"}, false},
		{"gone for one client's cookie", 410, nil, []string{"Cookie", "session=x"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := gatewaytest.NewOrigin(t, gatewaytest.Text("old", "Cache-Control", "public, max-age=1, stale-while-revalidate=600"))
			g := gatewaytest.Route(t, o.URL, "cache: {enabled: true}")
			if g.Get("/p"); !g.Get("/p").Hit() {
				t.Fatal("nothing is stored")
			}
			gatewaytest.Eventually(t, "the first fill ends", func() bool { return g.Fills.Load() == 1 })
			o.Answer(func(w http.ResponseWriter, r *http.Request) {
				for i := 0; i+1 < len(c.fields); i += 2 {
					w.Header().Add(c.fields[i], c.fields[i+1])
				}
				size := w.Header().Get("X-Size")
				w.Header().Del("X-Size")
				if size == "large" {
					w.Header().Set("Content-Length", "2000000")
				}
				w.WriteHeader(c.status)
				for range map[string]int{"large": 200, "endless": 200}[size] {
					fmt.Fprint(w, strings.Repeat("new content", 1000)[:10_000])
				}
			})
			g.Clock.Advance(2 * time.Second)
			fills := g.Fills.Load()
			g.Get("/p", c.asks...) // is given the old one, and has it refreshed
			gatewaytest.Eventually(t, "the refresh ends", func() bool { return g.Fills.Load() > fills })
			calls := o.Calls()
			g.Clock.Advance(2 * time.Second)
			o.Answer(gatewaytest.Text("newer", "Cache-Control", "public, max-age=60"))
			if a := g.Get("/p"); (a.Body == "old") == c.ends {
				t.Errorf("after %d calls the next client got %q (%s)", calls, a.Body, a.Header.Get("Cache-Status"))
			}
		})
	}
}

// TestOneClientsRefusalDoesNotRemoveWhatIsFresh: a client that asks past the cache with its own cookie removes nothing that others still use.
func TestOneClientsRefusalDoesNotRemoveWhatIsFresh(t *testing.T) {
	for _, answer := range []http.HandlerFunc{
		gatewaytest.Status(403), gatewaytest.Status(404), gatewaytest.Text("mine", "Cache-Control", "private"), gatewaytest.Text("mine", "Cache-Control", "no-store"),
		gatewaytest.Text("mine", "Cache-Control", "max-age=60", "Set-Cookie", "a=b"), gatewaytest.Status(302, "Location", "/login"),
	} {
		o := gatewaytest.NewOrigin(t, gatewaytest.Text("all", "Cache-Control", "public, max-age=60"))
		g := gatewaytest.Route(t, o.URL, "cache: {enabled: true}")
		g.Get("/p")
		o.Answer(answer)
		mine := g.Get("/p", "Cookie", "session=x", "Cache-Control", "no-cache")
		if a := g.Get("/p"); !a.Hit() || a.Body != "all" {
			t.Errorf("after %d: %d %q (%s)", mine.Status, a.Status, a.Body, a.Header.Get("Cache-Status"))
		}
	}
}
