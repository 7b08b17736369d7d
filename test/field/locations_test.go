package field

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
)

// redirecting is an origin that builds its URLs from the Host that it is given, as frameworks do. knowsPrefix makes it put X-Forwarded-Prefix in front.
func redirecting(knowsPrefix bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		prefix := ""
		if knowsPrefix {
			prefix = r.Header.Get("X-Forwarded-Prefix")
		}
		w.Header().Set("Cache-Control", "max-age=60")
		switch {
		case r.Method == http.MethodPost:
			w.Header().Set("Location", "http://"+r.Host+prefix+"/new")
			w.WriteHeader(http.StatusCreated)
		case r.Method == http.MethodPut:
			w.Header().Set("Content-Location", "http://"+r.Host+prefix+"/new")
		case strings.HasPrefix(r.URL.Path, "/absolute"):
			http.Redirect(w, r, "http://"+r.Host+prefix+"/there/?a=1", http.StatusPermanentRedirect)
		case strings.HasPrefix(r.URL.Path, "/path"):
			http.Redirect(w, r, prefix+"/there/?a=1", http.StatusFound)
		case strings.HasPrefix(r.URL.Path, "/refresh"):
			w.Header().Set("Refresh", "0; url=http://"+r.Host+prefix+"/there/?a=1")
		case strings.HasPrefix(r.URL.Path, "/else"):
			http.Redirect(w, r, "https://idp.example/login", http.StatusFound)
		default:
			fmt.Fprint(w, r.URL.Path, " below ", r.Header.Get("X-Forwarded-Prefix"))
		}
	}
}

func TestRedirectsLeadToWhereTheClientCanGo(t *testing.T) {
	for _, cache := range []string{"true", "false"} {
		for _, preserve := range []string{"true", "false"} {
			for _, knows := range []bool{true, false} {
				origin := gatewaytest.NewOrigin(t, redirecting(knows))
				g := gatewaytest.Start(t, "upstreams:\n  origin: {targets: ["+origin.URL+"], preserve_host: "+preserve+"}\nroutes:\n"+
					"  - {name: plain, match: {path: /*}, upstream: origin, cache: {enabled: "+cache+"}}\n"+
					"  - {name: strip, match: {path: /api/*}, upstream: origin, rewrite: {strip_prefix: /api}, cache: {enabled: "+cache+"}}\n"+
					"  - {name: template, match: {path: /tpl/*}, upstream: origin, rewrite: {path: '/path/{*}'}, cache: {enabled: "+cache+"}}\n"+
					"  - {name: keep, match: {path: /keep/*}, upstream: origin, rewrite: {strip_prefix: /keep, keep_locations: true}, cache: {enabled: "+cache+"}}\n")
				for _, tt := range []struct{ path, field, want string }{
					{"/absolute", "Location", "http://shop.example/there/?a=1"},
					{"/path", "Location", "/there/?a=1"},
					{"/refresh", "Refresh", "0; url=http://shop.example/there/?a=1"},
					{"/else", "Location", "https://idp.example/login"},
					{"/api/absolute", "Location", "http://shop.example/api/there/?a=1"},
					{"/api/path", "Location", "/api/there/?a=1"},
					{"/api/refresh", "Refresh", "0; url=http://shop.example/api/there/?a=1"},
					{"/api/else", "Location", "https://idp.example/login"},
					{"/tpl/x", "Location", "/there/?a=1"}, // no request of the route leads there
				} {
					for range 3 { // from the origin, and from the cache
						if got := g.Get(tt.path, "Host", "shop.example").Header.Get(tt.field); got != tt.want {
							t.Errorf("cache %s, preserve_host %s, prefix known %v: %s: %s: %s, not %s", cache, preserve, knows, tt.path, tt.field, got, tt.want)
						}
					}
				}
				if got := g.Get("/absolute", "Host", "other.example").Header.Get("Location"); got != "http://other.example/there/?a=1" {
					t.Errorf("a client of another host is sent to %s", got)
				}
				if got := g.Get("/api/a").Body; got != "/a below /api" {
					t.Errorf("the origin was not told its prefix: %s", got)
				}
				if got := g.Get("/keep/path").Header.Get("Location"); !knows && got != "/there/?a=1" {
					t.Errorf("a route that keeps locations changed one to %s", got)
				}
			}
		}
	}
}

func TestAWriteEvictsWhatItsLocationNames(t *testing.T) {
	for _, preserve := range []string{"true", "false"} {
		for _, prefix := range []string{"", "/api"} {
			for _, method := range []string{"POST", "PUT"} {
				origin := gatewaytest.NewOrigin(t, redirecting(false))
				rewrite := ""
				if prefix != "" {
					rewrite = ", rewrite: {strip_prefix: " + prefix + "}"
				}
				g := gatewaytest.Start(t, "upstreams:\n  origin: {targets: ["+origin.URL+"], preserve_host: "+preserve+"}\nroutes:\n"+
					"  - {name: all, match: {path: "+prefix+"/*}, upstream: origin, cache: {enabled: true}"+rewrite+"}\n")
				g.Get(prefix+"/new", "Host", "shop.example")
				if !g.Get(prefix+"/new", "Host", "shop.example").Hit() {
					t.Fatal("nothing was stored")
				}
				g.Do(method, prefix+"/list", strings.NewReader("x"), "Host", "shop.example")
				if g.Get(prefix+"/new", "Host", "shop.example").Hit() {
					t.Errorf("preserve_host %s, prefix %q: the URL that the response to a %s names was served from the cache", preserve, prefix, method)
				}
			}
		}
	}
}
