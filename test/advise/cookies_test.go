package advise

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/advice"
	"github.com/penstock/penstock/test/gatewaytest"
)

// TestAdviseWarnsOfPersonalAnswers: if one URL's answers differ between cookies that the key does not know, the advice says so, and proposes
// nothing that would share them. Routes whose answers are the same for all, are kept apart already, or change by themselves get no warning.
func TestAdviseWarnsOfPersonalAnswers(t *testing.T) {
	const key, bypass = `cookies: ["session"]`, "cookies: bypass"
	for _, c := range []struct {
		name, route  string
		fields       []string
		content      func(user string, n int) string // nil: by user
		cookie       string                          // of each user; "": session
		warned, yaml string                          // "": no warning
	}{
		{"cookies: ignore", "cache: {enabled: true, cookies: ignore, ttl: {default: 10s}}", nil, nil, "", "ignore", key},
		{"cookies: ignore, and the origin's lifetime", "cache: {enabled: true, cookies: ignore}", []string{"Cache-Control", "max-age=10"}, nil, "", "ignore", key},
		{"a cache_control rule", "cache: {enabled: true}\ncache_control: [{when: {status: [200]}, set: 'public, max-age=10'}]", nil, nil, "", "rule", key},
		{"no cache", "cache: {enabled: false}", nil, nil, "", "do not give it a cache", key},
		{"no cache, and the origin's lifetime", "cache: {enabled: false}", []string{"Cache-Control", "max-age=10"}, nil, "", "do not give it a cache", key},
		{"an assumed lifetime", "cache: {enabled: true, ttl: {default: 10s}}", nil, nil, "", "key", key},
		{"another cookie of the key", "cache: {enabled: true, key: {cookies: [lang]}, cookies: ignore, ttl: {default: 10s}}", nil, nil, "", "ignore", `cookies: ["lang", "session"]`},
		{"a cookie without a usable name", "cache: {enabled: true, cookies: ignore, ttl: {default: 10s}}", nil, nil, "s{}", "ignore", bypass},

		{"the cookie is in the key", "cache: {enabled: true, key: {cookies: [session]}, ttl: {default: 10s}}", nil, nil, "", "", ""},
		{"Vary: Cookie", "cache: {enabled: true, ttl: {default: 10s}}", []string{"Vary", "Accept, Cookie"}, nil, "", "", ""},
		{"cookies: bypass", "cache: {enabled: true, cookies: bypass, ttl: {default: 10s}}", nil, nil, "", "", ""},
		{"the same for all", "cache: {enabled: true, cookies: ignore, ttl: {default: 10s}}", nil, func(string, int) string { return "all" }, "", "", ""},
		{"new each time", "cache: {enabled: true, cookies: ignore, ttl: {default: 10s}}", nil, func(_ string, n int) string { return strings.Repeat("x", n%50) }, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 0
			o := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				n++ // requests come one after the other
				_, user, _ := strings.Cut(r.Header.Get("Cookie"), "=")
				content := user
				if c.content != nil {
					content = c.content(user, n)
				}
				gatewaytest.Text(content, c.fields...)(w, r)
			})
			g := gatewaytest.Route(t, o.URL, c.route)
			cookie := "session"
			if c.cookie != "" {
				cookie = c.cookie
			}
			for i := range 120 {
				user := strings.Repeat("u", 1+i%3) + "-secret"
				g.Get(fmt.Sprintf("/p/%d", i/3%2), "Cookie", cookie+"="+user)
				if i%2 == 1 {
					g.Clock.Advance(11 * time.Second)
				}
			}
			got := g.Advise()
			i := slices.IndexFunc(got.Advice, func(a advice.Advice) bool { return a.Kind == "cookies" })
			switch {
			case i < 0 && c.warned != "":
				t.Fatalf("no warning, but %+v", got.Advice)
			case i >= 0 && c.warned == "":
				t.Errorf("a warning: %+v", got.Advice[i])
			case i >= 0:
				a := got.Advice[i]
				if !strings.Contains(a.Advice, c.warned) || !strings.Contains(a.YAML, c.yaml) || len(a.Evidence) < 2 {
					t.Errorf("%+v, want %q and %q", a, c.warned, c.yaml)
				}
			}
			for _, a := range got.Advice {
				if strings.Contains(fmt.Sprint(a), "secret") {
					t.Errorf("the value of a cookie is shown: %+v", a)
				}
				if c.warned != "" && (a.Kind == "uncached" || a.Kind == "unstored" && strings.Contains(a.YAML, "ignore_cookies")) {
					t.Errorf("sharing is proposed: %+v", a)
				}
			}
			check(t, got)
		})
	}
}
