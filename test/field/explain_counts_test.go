package field

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
)

// TestExplainIsNotCounted asks for explanations of a stored response, of one that is not stored, and of requests that go past the cache. The figures of the
// memory tier stay what clients have made of them.
func TestExplainIsNotCounted(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, gatewaytest.Text("content", "Cache-Control", "max-age=60"))
	g := gatewaytest.Route(t, origin.URL, "cache: {enabled: true}")
	g.Get("/a")
	lookups := func() string {
		_, text := admin(t, g, "", "GET", "/metrics", "")
		var lines []string
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "penstock_cache_") {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "")
	}
	before := lookups()
	if !strings.Contains(before, "penstock_cache_lookups_total") {
		t.Fatalf("there are no figures of lookups:\n%s", before)
	}
	for _, ask := range []string{
		`{"url": "http://` + g.Addr + `/a"}`, `{"url": "http://` + g.Addr + `/b"}`, `{"url": "http://` + g.Addr + `/a", "method": "HEAD"}`,
		`{"url": "http://` + g.Addr + `/a", "method": "POST"}`, `{"url": "http://` + g.Addr + `/a", "header": ["Range: bytes=0-1"]}`,
		`{"url": "http://` + g.Addr + `/a", "header": ["Cache-Control: no-cache"]}`, `{"url": "http://` + g.Addr + `/a", "header": ["Cache-Control: only-if-cached"]}`,
	} {
		for range 5 {
			if status, body := adminPost(t, g, "/explain", ask); status != 200 {
				t.Fatalf("%s: %d %s", ask, status, body)
			}
		}
	}
	if after := lookups(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if origin.Calls() != 1 {
		t.Errorf("%d calls to the origin", origin.Calls())
	}
}
