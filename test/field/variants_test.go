package field

import (
	"fmt"
	"net/http"
	"testing"

	. "github.com/penstock/penstock/test/gatewaytest"
)

// varying is a reason for which a URL has many variants.
type varying struct {
	name   string
	vary   string // of the origin
	keys   string // further keys of the route
	field  string // that tells the variants apart
	values func(i int) string
	wanted string // the value that many clients send
}

func variantValues(format string) func(int) string {
	return func(i int) string { return fmt.Sprintf(format, i) }
}

var varyings = []varying{
	{name: "by language", vary: "Accept-Language", field: "Accept-Language", values: variantValues("x-%d"), wanted: "en"},
	{name: "by browser", vary: "User-Agent", field: "User-Agent", values: variantValues("robot/%d"), wanted: "browser"},
	{name: "by origin, which the gateway adds", field: "Origin", values: variantValues("https://a%d.example"), wanted: "https://shop.example"},
	{name: "by coding", vary: "Accept-Encoding", field: "Accept-Encoding", values: variantValues("x%d"), wanted: "x-own"},
	{name: "by a field of the application", vary: "X-Group, X-Other", field: "X-Group", values: variantValues("g%d"), wanted: "all"},
	{name: "by type, with a window of a year", vary: "Accept", field: "Accept", values: variantValues("text/x%d"), wanted: "text/html"},
	{name: "with few variants", vary: "Accept-Language", keys: "cache: {enabled: true, vary: {max_variants: 2}}", field: "Accept-Language", values: variantValues("x-%d"), wanted: "en"},
}

// TestFirstVariantsDoNotKeepTheOthersOut has the first clients send values of their own. The value that all others send must be stored all the same.
func TestFirstVariantsDoNotKeepTheOthersOut(t *testing.T) {
	for _, v := range varyings {
		t.Run(v.name, func(t *testing.T) {
			o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				if v.vary != "" {
					w.Header().Set("Vary", v.vary)
				} else {
					w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
				}
				Text(r.Header.Get(v.field), "Cache-Control", "max-age=600, stale-while-revalidate=31536000")(w, r)
			})
			g := Route(t, o.URL, firstOf(v.keys, "cache: {enabled: true}"))
			for i := range 40 {
				g.Get("/", v.field, v.values(i))
			}
			before := o.Calls()
			for range 20 {
				if r := g.Get("/", v.field, v.wanted); r.Body != v.wanted {
					t.Fatalf("%d %q", r.Status, r.Body)
				}
			}
			if n := o.Calls() - before; n != 1 {
				t.Errorf("20 requests for one variant make %d calls", n)
			}
			for i := range 100 { // a scan pushes out what it has brought in itself
				g.Get("/", v.field, v.values(1000+i))
			}
			before = o.Calls()
			if r := g.Get("/", v.field, v.wanted); r.Body != v.wanted || o.Calls() != before {
				t.Errorf("after a scan the variant in use is gone: %q %s", r.Body, r.Header.Get("Cache-Status"))
			}
		})
	}
}
