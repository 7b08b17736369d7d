package upstream

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOutside(t *testing.T) {
	type rewrite struct{ pattern, strip, add, path string }
	none := rewrite{pattern: "/*"}
	strip := rewrite{pattern: "/api/*", strip: "/api"}
	swap := rewrite{pattern: "/static/*", strip: "/static", add: "/assets"}
	add := rewrite{pattern: "/*", add: "/v1"}
	wild := rewrite{pattern: "/api/*", path: "/v2/{*}"}
	ids := rewrite{pattern: "/users/{id:[0-9]{1,9}}/posts/{post}", path: "/v2/p/{post}/of/{id}"}
	lost := rewrite{pattern: "/users/{id}", path: "/user.php"}
	web, secure := View{Scheme: "http", Host: "shop.example"}, View{Scheme: "https", Host: "shop.example:8443"}
	doubled, hostless := View{Scheme: "https", Host: "shop.example", Doubled: true}, View{Scheme: "http", Doubled: true}
	for _, tt := range []struct {
		name     string
		targets  []string
		preserve bool
		rewrite  rewrite
		view     View
		ref      string
		want     string
	}{
		{"target", []string{"http://127.0.0.1:9000"}, false, none, web, "http://127.0.0.1:9000/slash/?a=%2f#b", "http://shop.example/slash/?a=%2f#b"},
		{"client over TLS", []string{"http://127.0.0.1:9000"}, false, none, secure, "http://127.0.0.1:9000/a", "https://shop.example:8443/a"},
		{"default port written out", []string{"http://app"}, false, none, web, "HTTP://APP:80/a", "http://shop.example/a"},
		{"default port of the target", []string{"http://app:80"}, false, none, web, "http://app/a", "http://shop.example/a"},
		{"without a scheme", []string{"http://app"}, false, none, secure, "//app/a", "https://shop.example:8443/a"},
		{"scheme from X-Forwarded-Proto", []string{"http://app"}, false, none, secure, "https://app/a", "https://shop.example:8443/a"},
		{"the origin wants TLS", []string{"http://app"}, false, none, View{Scheme: "http", Host: "shop.example:8080"}, "https://app/a", "https://shop.example/a"},
		{"another target", []string{"http://a:1", "http://b:2"}, false, none, web, "http://b:2/a", "http://shop.example/a"},
		{"IPv6", []string{"http://[::1]:9000"}, false, none, web, "http://[::1]:9000/a", "http://shop.example/a"},
		{"no path", []string{"http://app"}, false, none, web, "http://app", "http://shop.example"},
		{"no path, a query", []string{"http://app"}, false, none, web, "http://app?a", "http://shop.example?a"},
		{"client without host", []string{"http://app"}, false, none, View{Scheme: "http"}, "http://app/a", "/a"},
		{"another port", []string{"http://app:1"}, false, none, web, "http://app:2/a", "http://app:2/a"},
		{"another host", []string{"http://app"}, false, strip, web, "https://idp.example/login?to=http://app/a", "https://idp.example/login?to=http://app/a"},
		{"a name that begins alike", []string{"http://app"}, false, none, web, "http://app.evil.example/a", "http://app.evil.example/a"},
		{"user information", []string{"http://app"}, false, none, web, "http://app@evil.example/", "http://app@evil.example/"},
		{"another scheme", []string{"http://app"}, false, strip, web, "mailto:a@app", "mailto:a@app"},
		{"relative", []string{"http://app"}, false, strip, web, "next?x=/a", "next?x=/a"},
		{"empty", []string{"http://app"}, false, strip, web, "", ""},
		{"query alone", []string{"http://app"}, false, strip, web, "?page=2", "?page=2"},

		{"stripped prefix", []string{"http://app"}, false, strip, web, "http://app/users/1", "http://shop.example/api/users/1"},
		{"stripped prefix, path", []string{"http://app"}, false, strip, web, "/users/1?x", "/api/users/1?x"},
		{"stripped prefix, root", []string{"http://app"}, false, strip, web, "/", "/api/"},
		{"stripped prefix, empty segments", []string{"http://app"}, false, strip, web, "http://app//a//b", "http://shop.example/api//a//b"},
		{"the origin knows its prefix", []string{"http://app"}, false, strip, web, "/api/users/1", "/api/users/1"},
		{"the origin knows its prefix, root", []string{"http://app"}, false, strip, web, "http://app/api", "http://shop.example/api"},
		{"begins like the prefix", []string{"http://app"}, false, strip, web, "/apis", "/api/apis"},
		{"public URL", []string{"http://app"}, false, strip, web, "http://shop.example/login", "http://shop.example/login"},
		{"public URL of a preserved host", []string{"http://app"}, true, strip, web, "http://Shop.example/login", "http://Shop.example/api/login"},
		{"public URL of a preserved host, known prefix", []string{"http://app"}, true, strip, secure, "https://shop.example:8443/api/login", "https://shop.example:8443/api/login"},
		{"other host beside a preserved one", []string{"http://app"}, true, strip, web, "http://www.shop.example/login", "http://www.shop.example/login"},
		{"target beside a preserved host", []string{"http://app"}, true, strip, web, "http://app/login", "http://shop.example/api/login"},

		{"prefix for prefix", []string{"http://app"}, false, swap, web, "/assets/a/", "/static/a/"},
		{"prefix for prefix, root", []string{"http://app"}, false, swap, web, "http://app/assets", "http://shop.example/static"},
		{"prefix for prefix, told", []string{"http://app"}, false, swap, web, "/static/assets/a", "/static/a"},
		{"prefix for prefix, elsewhere", []string{"http://app"}, false, swap, web, "http://app/login", "http://shop.example/login"},
		{"added prefix", []string{"http://app"}, false, add, web, "/v1/a", "/a"},
		{"added prefix, root", []string{"http://app"}, false, add, web, "/v1", "/"},
		{"added prefix, elsewhere", []string{"http://app"}, false, add, web, "/v10/a", "/v10/a"},
		{"no authority out of a path", []string{"http://app"}, false, add, web, "/v1//evil.example", "http://shop.example//evil.example"},
		{"no authority out of a path, no host", []string{"http://app"}, false, add, View{Scheme: "http"}, "/v1//evil.example?a", "/.//evil.example?a"},
		{"no authority for browsers either", []string{"http://app"}, false, add, web, `/v1/\evil.example`, `/v1/\evil.example`},
		{"base path", []string{"http://app/base/"}, false, none, web, "http://app/base/a", "http://shop.example/a"},
		{"base path, path", []string{"http://app/base"}, false, strip, web, "/base/a", "/api/a"},
		{"base path, elsewhere", []string{"http://app/base"}, false, strip, web, "/a", "/a"},
		{"template with a wildcard", []string{"http://app"}, false, wild, web, "http://app/v2/a/b?c", "http://shop.example/api/a/b?c"},
		{"template, elsewhere", []string{"http://app"}, false, wild, web, "/v3/a", "/v3/a"},
		{"template with parameters", []string{"http://app"}, false, ids, web, "/v2/p/x%2Fy/of/7", "/users/7/posts/x%2Fy"},
		{"reflected path", []string{"http://app"}, false, none, doubled, "//evil.example/a/?b=//c#d", "https://shop.example//evil.example/a/?b=//c#d"},
		{"reflected path, nothing more", []string{"http://app"}, false, none, doubled, "//evil.example", "https://shop.example//evil.example"},
		{"reflected path, three slashes", []string{"http://app"}, false, none, doubled, "///evil.example/", "https://shop.example///evil.example/"},
		{"reflected path, user information", []string{"http://app"}, false, none, doubled, "//app@evil.example/", "https://shop.example//app@evil.example/"},
		{"reflected path, client without host", []string{"http://app"}, false, none, hostless, "//evil.example/", "/.//evil.example/"},
		{"reflected path, stripped prefix", []string{"http://app"}, false, strip, doubled, "//evil.example/", "/api//evil.example/"},
		{"reflected path, preserved host", []string{"http://app"}, true, none, doubled, "//evil.example/", "https://shop.example//evil.example/"},
		{"reflected path, template", []string{"http://app"}, false, lost, doubled, "//evil.example/", "https://shop.example//evil.example/"},
		{"the target as authority of a doubled path", []string{"http://app"}, false, none, doubled, "//app/a", "https://shop.example/a"},
		{"the gateway as authority of a doubled path", []string{"http://app"}, false, none, doubled, "//shop.example/a", "//shop.example/a"},
		{"absolute URL at a doubled path", []string{"http://app"}, false, none, doubled, "https://idp.example/", "https://idp.example/"},
		{"another authority at a plain path", []string{"http://app"}, false, none, web, "//cdn.example/a", "//cdn.example/a"},
		{"template that can't be undone", []string{"http://app"}, false, lost, web, "http://app/user.php?id=1", "http://shop.example/user.php?id=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := CompileOutside(tt.targets, tt.preserve, tt.rewrite.pattern, tt.rewrite.strip, tt.rewrite.add, tt.rewrite.path)
			if err != nil {
				t.Fatal(err)
			}
			if got := o.Map(tt.ref, tt.view); got != tt.want {
				t.Errorf("%q became %q, not %q", tt.ref, got, tt.want)
			}
		})
	}
}

func TestKeepOutside(t *testing.T) {
	for _, tt := range []struct {
		ref     string
		doubled bool
		want    string
	}{
		{"/a", false, "/a"}, {"///a", false, "///a"}, {"//cdn.example/a", false, "//cdn.example/a"}, {"http://app/a", true, "http://app/a"}, {"next", true, "next"},
		{"//evil.example/", true, "http://shop.example//evil.example/"}, {"/a//b", true, "/a//b"},
	} {
		if got := KeepOutside().Map(tt.ref, View{Scheme: "http", Host: "shop.example", Doubled: tt.doubled}); got != tt.want {
			t.Errorf("%q became %q, not %q", tt.ref, got, tt.want)
		}
	}
}

func TestOutsideFields(t *testing.T) {
	o, err := CompileOutside([]string{"http://app"}, false, "/api/*", "/api", "", "")
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{
		"Location":         {"http://app/a"},
		"Content-Location": {"/a"},
		"Refresh":          {"5; URL='http://app/a'"},
		"Link":             {`<http://app/a>; rel="next"; title="<no>", </b>; rel=prev`, "<http://else.example/>; rel=x"},
		"Set-Cookie":       {"a=b; Path=/a; Domain=app"},
		"X-Other":          {"http://app/a"},
	}
	old := h["Link"]
	o.Apply(h, View{Scheme: "https", Host: "shop.example"})
	want := http.Header{
		"Location":         {"https://shop.example/api/a"},
		"Content-Location": {"/api/a"},
		"Refresh":          {"5; URL='https://shop.example/api/a'"},
		"Link":             {`<https://shop.example/api/a>; rel="next"; title="<no>", </api/b>; rel=prev`, "<http://else.example/>; rel=x"},
		"Set-Cookie":       {"a=b; Path=/a; Domain=app"},
		"X-Other":          {"http://app/a"},
	}
	if d := cmp.Diff(want, h); d != "" {
		t.Error(d)
	}
	if old[0] == h["Link"][0] {
		t.Error("the origin's own values were written to")
	}
	for _, value := range []string{"5", "url=/a", "<", "<a", `"<`, `"\`} {
		_ = o.mapRefresh(value, View{})
		_ = o.mapLink(value, View{})
	}
}
