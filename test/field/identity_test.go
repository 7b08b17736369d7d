package field

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
)

// telling are fields by which a proxy in front, or the client, tells the origin who asks.
var telling = []string{
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token", "X-Forwarded-Client-Cert",
	"X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info", "Remote-User", "X-Remote-User", "X-Authenticated-User", "X-Ssl-Client-Cert", "X-Ssl-Client-S-Dn",
	"Ssl-Client-Cert", "Client-Cert", "X-Auth-Request-User", "X-Auth-Request-Email", "Cf-Access-Jwt-Assertion", "X-Goog-Authenticated-User-Email", "X-Amzn-Oidc-Data",
	"X-Ms-Client-Principal-Name", "X-Pomerium-Jwt-Assertion", "X-Authentik-Username", "Tailscale-User-Login", "X-Consumer-Username", "X-Webauth-User", "X-Userinfo",
	"X-Api-Key", "Api-Key", "X-Auth-Token", "X-Access-Token", "x-forwarded-user", "X-API-KEY",
}

// personal answers with a page for whoever asks by the field, without a word on caching.
func personal(field string, more http.Header) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for name, values := range more {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "page of <", r.Header.Get(field), ">")
	}
}

func TestWhoAProxyNamesGetsTheOwnPage(t *testing.T) {
	const route = "routes:\n  - {name: all, match: {path: /*}, upstream: origin, cache: {enabled: true, ttl: {default: 60s}, stale_while_revalidate: 60s}}\n"
	for _, field := range telling {
		t.Run(field, func(t *testing.T) {
			g := behindProxy(t, gatewaytest.NewOrigin(t, personal(field, nil)).URL, route)
			for range 3 {
				for _, user := range []string{"alice", "bob", ""} {
					fields := []string{"Host", "shop.example", "X-Forwarded-For", "203.0.113.9"}
					if user != "" {
						fields = append(fields, field, user)
					}
					if r := g.Get("/me", fields...); r.Body != "page of <"+user+">" {
						t.Errorf("%q got the %s (%s)", user, r.Body, r.Header["Cache-Status"])
					}
				}
			}
			if r := g.Get("/me", "Host", "shop.example"); !strings.Contains(r.Header.Get("Cache-Status"), "hit") {
				t.Errorf("clients that are not known share the response: %s", r.Header["Cache-Status"])
			}
		})
	}
}

func TestUsersOfAProxyDoNotShareACall(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(100 * time.Millisecond)
		personal("X-Forwarded-User", nil)(w, r)
	})
	g := behindProxy(t, origin.URL, "routes:\n  - {name: all, match: {path: /*}, upstream: origin, cache: {enabled: true, ttl: {default: 60s}}}\n")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			user := fmt.Sprint("user", i)
			if r := g.Get("/cold", "X-Forwarded-User", user); r.Body != "page of <"+user+">" {
				t.Errorf("%s got the %s", user, r.Body)
			}
		})
	}
	all.Wait()
}

func TestWhatUsersOfAProxyShare(t *testing.T) {
	for _, tt := range []struct {
		name, cache string
		header      http.Header
		own, shared bool // whether each user is to get an own page, and whether the same user's second request is a hit
	}{
		{"declared by the origin", "ttl: {default: 60s}", http.Header{"Cache-Control": {"max-age=60"}}, false, true},
		{"public", "ttl: {default: 60s}", http.Header{"Cache-Control": {"public"}}, false, true},
		{"the field in the key", "ttl: {default: 60s}, key: {headers: [X-Forwarded-User]}", nil, true, true},
		{"Vary names the field", "ttl: {default: 60s}", http.Header{"Vary": {"X-Forwarded-User"}}, true, true},
		{"Vary names Cookie alone", "ttl: {default: 60s}", http.Header{"Vary": {"Cookie"}}, true, false},
		{"cookies are ignored", "ttl: {default: 60s}, cookies: ignore", nil, true, false},
		{"a guess", "", http.Header{"Last-Modified": {"Wed, 01 Jan 2020 00:00:00 GMT"}}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := behindProxy(t, gatewaytest.NewOrigin(t, personal("X-Forwarded-User", tt.header)).URL,
				"routes:\n  - {name: all, match: {path: /*}, upstream: origin, cache: {enabled: true, "+strings.TrimSuffix(tt.cache+"}", ", }")+"}\n")
			g.Get("/me", "X-Forwarded-User", "alice")
			for range 3 {
				hit := strings.Contains(g.Get("/me", "X-Forwarded-User", "alice").Header.Get("Cache-Status"), "hit")
				own := g.Get("/me", "X-Forwarded-User", "bob").Body == "page of <bob>"
				if hit != tt.shared || own != tt.own {
					t.Errorf("second request a hit: %v, each an own page: %v; want %v, %v", hit, own, tt.shared, tt.own)
				}
			}
		})
	}
}
