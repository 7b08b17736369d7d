package upstream

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRewrite(t *testing.T) {
	params := map[string]string{"*": "a/b", "id": "7", "slash": "x/y", "odd": "a?b#c d%zz\r\n", "escaped": "a%2Fb", "dots": "..", "dot": ".", "empty": "", "hidden": "..%2Fadmin"}
	names := make([]string, 0, len(params))
	for name := range params {
		names = append(names, name)
	}
	f := func(strip, add, template, path, want string) {
		t.Helper()
		rw, err := CompileRewrite(strip, add, template, names)
		if err != nil {
			t.Fatal(err)
		}
		got, err := rw.Apply(path, func(name string) string { return params[name] })
		if want == "" {
			if !errors.Is(err, ErrEscape) {
				t.Errorf("Apply(%s) = %q, %v; want ErrEscape", path, got, err)
			}
			return
		}
		if got != want || err != nil {
			t.Errorf("Apply(%s) = %q, %v; want %q", path, got, err, want)
		}
	}
	f("", "", "", "/a", "/a")
	f("/static", "/assets", "", "/static/a.css", "/assets/a.css")
	f("/static/", "/assets/", "", "/static/a.css", "/assets/a.css")
	f("/static", "", "", "/static", "/")
	f("/static", "", "", "/static/", "/")
	f("/static", "", "", "/statically", "/statically") // a prefix ends at the end of a segment
	f("/static", "/assets", "", "/other", "/assets/other")
	f("/api", "", "", "/api/%2F/x", "/%2F/x")
	f("", "", "/v2/{*}", "/v1/a/b", "/v2/a/b")
	f("", "", "/v2{*}", "/v1/a/b", "/v2a/b")
	f("", "", "/u/{id}/x", "/users/7", "/u/7/x")
	f("", "", "/u/{slash}", "/", "/u/x%2Fy")
	f("", "", "/u/{escaped}", "/", "/u/a%2Fb")
	f("", "", "/u/{odd}/x", "/", "/u/a%3Fb%23c%20d%25zz%0D%0A/x")
	f("", "", "/u/{empty}", "/", "/u/")
	f("", "", "/u/{dots}", "/", "")
	f("", "", "/u/{dot}/x", "/", "")
	f("", "", "/u/.{dot}/x", "/", "")
	f("", "", "/u/{hidden}", "/", "")
	f("", "", "/u/{dots};v=1/x", "/", "")
	f("", "", "/u/a{dots}", "/", "/u/a..")
}

func TestCompileRewriteRefuses(t *testing.T) {
	f := func(strip, add, template, want string) {
		t.Helper()
		_, err := CompileRewrite(strip, add, template, []string{"*", "id"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CompileRewrite(%q, %q, %q): %v, want an error with %q", strip, add, template, err, want)
		}
	}
	f("/a", "", "/b", "stands alone")
	f("", "/a", "/b", "stands alone")
	f("", "", "v2/{*}", "begin with /")
	f("", "", "/v2/{name}", "no parameter {name}")
	f("", "", "/v2/{id", "without its }")
	f("", "", "/v2/{}", "without its }")
	f("", "", "/a b", "escaping")
	f("a", "", "", "strip_prefix")
	f("", "/a/../b", "", "add_prefix")
	f("", "/a//b", "", "add_prefix")
	f("", "/a?b", "", "add_prefix")
}

// A value, whatever it is, stays within its segment: the number of segments and the fixed text around it do not change.
func TestRewriteValuesStayInTheirSegment(t *testing.T) {
	rw, err := CompileRewrite("", "", "/v2/{id}/profile", []string{"id"})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.StringMatching(`[./%25fFeE;\\]{0,8}`)).Draw(t, "value")
		got, err := rw.Apply("/", func(string) string { return value })
		if err != nil {
			return
		}
		segments := strings.Split(got, "/")
		if len(segments) != 4 || segments[1] != "v2" || segments[3] != "profile" || strings.ContainsAny(got, "?#\\ \r\n\x00") || hasDots(got) {
			t.Fatalf("value %q made %q", value, got)
		}
	})
}
