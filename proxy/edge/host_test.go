package edge

import (
	"errors"
	"strings"
	"testing"
)

// F8: one spelling of a host.
func TestF8CanonicalHost(t *testing.T) {
	f := func(in, scheme, want string) {
		t.Helper()
		got, err := CanonicalHost(in, scheme)
		if want == "" {
			if !errors.Is(err, ErrHost) {
				t.Errorf("CanonicalHost(%q, %s) = %q, %v; want ErrHost", in, scheme, got, err)
			}
			return
		}
		if got != want || err != nil {
			t.Errorf("CanonicalHost(%q, %s) = %q, %v; want %q", in, scheme, got, err, want)
		}
	}
	f("a.example", "http", "a.example")
	f("A.EXAMPLE.", "http", "a.example")
	f("A.Example.:80", "http", "a.example")
	f("a:80", "http", "a")
	f("a:080", "http", "a")
	f("a:80", "https", "a:80")
	f("a:443", "https", "a")
	f("a:443", "http", "a:443")
	f("a:", "http", "a")
	f("a:8080", "http", "a:8080")
	f("127.0.0.1:9", "http", "127.0.0.1:9")
	f("[::1]", "http", "[::1]")
	f("[0:0::1]:80", "http", "[::1]")
	f("[2001:DB8::A]:8443", "https", "[2001:db8::a]:8443")
	f("my_service", "http", "my_service")
	f("xn--bcher-kva.example", "http", "xn--bcher-kva.example")
	for _, bad := range []string{
		"", ".", "..", "a..b", ".a", "a.b..", ":80", "a:0", "a:65536", "a:x", "a:-1", "a:+1", "a:80:80", "::1", "[::1", "::1]", "[::1]x", "[::1]x:80", "[::1%25eth0]", "[fe80::1%eth0]", "[127.0.0.1]", "[]",
		"u@a", "u:p@a", "a/b", "a?b", "a#b", "a b", "a\tb", "a\x00", "a%2eb", "a,b", "a\\b", "bücher.example", "a\xff", "*", "~", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a",
	} {
		f(bad, "http", "")
	}
}

func FuzzCanonicalHost(f *testing.F) {
	for _, s := range []string{"a.example", "A.B.:80", "[::1]:443", "[fe80::1%25eth0]", "u@a", "a:80:80", "::1", "a..b", "[::ffff:1.2.3.4]"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, secure bool) {
		scheme := "http"
		if secure {
			scheme = "https"
		}
		got, err := CanonicalHost(s, scheme)
		if err != nil {
			return
		}
		if again, err := CanonicalHost(got, scheme); again != got || err != nil {
			t.Fatalf("%q became %q and then %q, %v", s, got, again, err)
		}
		if got != strings.ToLower(got) || strings.ContainsAny(got, "/?#@\\%, \t\r\n\x00") || strings.HasSuffix(got, ".") || strings.HasSuffix(got, ":") {
			t.Fatalf("%q became %q", s, got)
		}
		if upper, err := CanonicalHost(strings.ToUpper(s), scheme); isASCII(s) && (upper != got || err != nil) {
			t.Fatalf("%q became %q, in capitals %q, %v", s, got, upper, err)
		}
	})
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}
