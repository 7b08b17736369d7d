package edge

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

// K12, K9 (path part), F10: one spelling for each path, and an error for paths that recipients
// would read differently.
func TestK12CanonicalPath(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		got, err := CanonicalPath(in)
		if want == "" {
			if !errors.Is(err, ErrPath) {
				t.Errorf("CanonicalPath(%q) = %q, %v; want ErrPath", in, got, err)
			}
			return
		}
		if got != want || err != nil {
			t.Errorf("CanonicalPath(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	f("", "/")
	f("/", "/")
	f("/a/b.css", "/a/b.css")
	f("/a/", "/a/")
	f("//", "//") // an empty segment is a segment
	f("//a///b//", "//a///b//")
	f("/a//", "/a//")
	f("//.", "//")
	f("/a//.", "/a//")
	f("/a//..", "/a/")
	f("/..//a", "//a")
	f("/.//a", "//a")
	f("/a//./b", "/a//b")
	f("/a//b/..", "/a//")
	f("/./a/./b/.", "/a/b/")
	f("/a/../b", "/b")
	f("/a/b/..", "/a/")
	f("/a/..", "/")
	f("/../../a", "/a")
	f("/a//../b", "/a/b")
	f("/a//../../b", "/b")
	f("/api/../admin", "/admin")
	f("/%2e%2E/a/%2e/b", "/a/b")
	f("/a/.%2e/b", "/b")
	f("/...", "/...")
	f("/.hidden/..x/x..", "/.hidden/..x/x..")
	f("/%7Euser/%41%2d%5f", "/~user/A-_")
	f("/a%2fb", "/a%2Fb")
	f("/a%2Fb", "/a%2Fb")
	f("/%252e%252e/a", "/%252e%252e/a") // escaped twice is data
	f("/%25", "/%25")
	f("/a;v=1/b;x", "/a;v=1/b;x")
	f("/a%3Bv", "/a%3Bv") // reserved: not the same as ;
	f("/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,=")
	f("/caf\xc3\xa9", "/caf%C3%A9")
	f("/caf%c3%a9", "/caf%C3%A9")
	f("/\xff", "/%FF") // not UTF-8, but one spelling
	f(`/"<>^{|}[]`+"`", "/%22%3C%3E%5E%7B%7C%7D%5B%5D%60")
	f("/a%3fb%23c", "/a%3Fb%23c") // K9: it stays data
	f("/account%2Fx.css", "/account%2Fx.css")
	// errors
	f("a", "")
	f("*", "")
	f("http://x/", "")
	f("/a%", "")
	f("/a%2", "")
	f("/a%zz", "")
	f("/a%0d%0aX: y", "")
	f("/a%00", "")
	f("/a%1f", "")
	f("/a%7F", "")
	f("/a\r\n", "")
	f("/a\x7f", "")
	f("/a b", "")
	f("/a?b", "")
	f("/a#b", "")
	f(`/a\b`, "")
	f("/a%5cb", "")
	f("/a%5C..%5Cb", "")
	f("/static/..%2faccount", "")
	f("/static/..%2Faccount", "")
	f("/static/%2e%2e%2faccount", "")
	f("/a/x%2f..", "")
	f("/a/x%2f.%2fb", "")
	f("/a/..;/admin", "")
	f("/a/..;x=1/admin", "")
	f("/a/.;/b", "")
	f("/a/x%2f..;y/b", "")
}

func TestMergeSlashes(t *testing.T) {
	for in, want := range map[string]string{"/": "/", "//": "/", "///": "/", "/a/b/": "/a/b/", "//a///b//": "/a/b/", "/a//b": "/a/b", "/http://h//a": "/http:/h/a", "/%2F//%2F": "/%2F/%2F"} {
		if got := MergeSlashes(in); got != want {
			t.Errorf("MergeSlashes(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzCanonicalPath(f *testing.F) {
	for _, s := range []string{"/", "//a/../b", "/%2e%2e/%2f", "/a%2Fb;c=d", "/..;/x", "/caf\xc3\xa9", `/\`, "/%25%32%65", "/a/%2e", "/%C0%AE/", "/a%00", "/.%2E/", "/x%2f..%2fy"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := CanonicalPath(s)
		if err != nil {
			return
		}
		if again, err := CanonicalPath(got); again != got || err != nil {
			t.Fatalf("%q became %q and then %q, %v", s, got, again, err)
		}
		if got[0] != '/' || strings.ContainsAny(got, " ?#\\\x00\r\n\x7f") {
			t.Fatalf("%q became %q", s, got)
		}
		for segment := range strings.SplitSeq(got, "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q became %q, with a dot segment", s, got)
			}
		}
		// It is also canonical without its empty segments.
		merged := MergeSlashes(got)
		if again, err := CanonicalPath(merged); again != merged || err != nil || strings.Contains(merged, "//") {
			t.Fatalf("%q became %q, merged %q, and then %q, %v", s, got, merged, again, err)
		}
		// net/url must keep the spelling, so that readers of the URL see this spelling and no
		// other.
		u, err := url.ParseRequestURI(got)
		if err != nil || u.EscapedPath() != got || u.RawQuery != "" {
			t.Fatalf("%q became %q, which net/url takes for %q, %v", s, got, u, err)
		}
		// The path has the same meaning as the input, dot segments apart.
		if plain, err := url.PathUnescape(s); err == nil && !strings.Contains(plain, ".") && s != "" {
			if mine, _ := url.PathUnescape(got); mine != plain {
				t.Fatalf("%q became %q: another path", s, got)
			}
		}
	})
}

func TestCanonicalPathDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { CanonicalPath("/api/v1/users/1234567;x=1/profile.json") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestF10Query(t *testing.T) {
	f := func(query string, limit int, want error) {
		t.Helper()
		if err := checkQuery(query, limit); err != want {
			t.Errorf("checkQuery(%q, %d) = %v, want %v", query, limit, err, want)
		}
	}
	f("", 1, nil)
	f("a=1&b=2", 2, nil)
	f("a=1&b=2", 0, nil)
	f("a=1&b=2", 1, errParameters)
	f("a=1;b=2", 1, errParameters)
	f(strings.Repeat("a&", 10000), 10000, errParameters)
	f("a=%0a", 1, nil) // data, forwarded unchanged
	f("a=\xff", 1, nil)
	f("a=%00", 1, nil)
	f("%00", 1, nil)
	f("a%00=%7F%5c%23%20", 1, nil)
	f("a=\n", 1, errQuery)
	f("a=\x00", 1, errQuery)
	f("a=\x7f", 1, errQuery)
	f("a b", 1, errQuery)
	f("a#b", 1, errQuery)
}
