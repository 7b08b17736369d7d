package field

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
)

func TestEscapedBytesOfAQueryReachTheOriginAsTheyCame(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, r.RequestURI)
	})
	for _, cache := range []string{"false", "true"} {
		g := gatewaytest.Route(t, origin.URL, "cache: {enabled: "+cache+"}")
		for _, query := range []string{
			"q=a%00b", "info_hash=%12%34%56%00%ff%FE", "%00", "a%00=b", "q=%0d%0a%09", "q=%7f%7F", "q=%20+%2B", "q=%25%32%35", "q=%2f%2F%5c", "q=%26%3d%3B", "q=%23%3F", "q=%c3%a9%C3%A9", "q=%f", "q=%", "q=%zz",
		} {
			for range 2 {
				if got := g.Get("/a?" + query).Body; got != "/a?"+query {
					t.Errorf("cache %s: %s reached the origin as %s", cache, query, got)
				}
			}
		}
	}
}
