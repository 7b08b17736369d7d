package urltemplate

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func expand(t *Template, value string) (string, string, error) {
	return t.Expand(func(string) ([]string, error) { return []string{value}, nil })
}

func TestParse(t *testing.T) {
	for s, ok := range map[string]bool{
		"/a/{b}/c?d={e.f}&g=h": true, "/": true, "/a?{b}": true, "/a%20b/{}": true, "/a?b=c/d?e": true,
		"": false, "a": false, "/{a": false, "/a}": false, "/a b": false, "/a#b": false, "/a?b#c": false, "/../a": false, "/a/./b": false, "/%2e%2e/b": false, "/a%2": false, "/a\r\n": false, "/{a b}": false, "/{a{b}}": false, `/a\b`: false,
	} {
		if _, err := Parse(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestNothingGetsOut(t *testing.T) {
	tpl, err := Parse("/users/{id}/x?q={id}&r=1")
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{
		"7": "/users/7/x?q=7&r=1", "a b": "/users/a%20b/x?q=a%20b&r=1", "a/b": "/users/a%2Fb/x?q=a%2Fb&r=1", "a?b": "/users/a%3Fb/x?q=a%3Fb&r=1", "a#b": "/users/a%23b/x?q=a%23b&r=1",
		"a&b=c": "/users/a%26b%3Dc/x?q=a%26b%3Dc&r=1", "%41": "/users/%2541/x?q=%2541&r=1", "ä": "/users/%C3%A4/x?q=%C3%A4&r=1", "a+b": "/users/a%2Bb/x?q=a%2Bb&r=1", "a;b": "/users/a%3Bb/x?q=a%3Bb&r=1",
		"..": "", ".": "", "../admin": "", "a/../b": "", `..\x`: "", "%2e%2e": "", "%252e%252e": "", "..;x": "", "": "", "a\r\nb": "", "a\x00": "", "\xff": "", strings.Repeat("x", 2000): "",
	} {
		path, query, err := expand(tpl, value)
		if got := path + "?" + query; (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%q: %s %v", value, got, err)
		}
	}
	half, _ := Parse("/a/.{x}")
	if _, _, err := expand(half, "."); !errors.Is(err, ErrEscape) {
		t.Errorf("two dots made of one and one: %v", err)
	}
}

// stays is what must hold for whatever value: the URL has the template's segments and parameters, and each holds what was put in.
func stays(t interface{ Fatalf(string, ...any) }, value string) {
	tpl, err := Parse("/a/{x}/b?c={x}&d=e")
	if err != nil {
		t.Fatalf("%v", err)
	}
	path, query, err := expand(tpl, value)
	if err != nil {
		return
	}
	u, err := url.ParseRequestURI(path + "?" + query)
	if err != nil {
		t.Fatalf("%q makes %s?%s: %v", value, path, query, err)
	}
	segments := strings.Split(u.EscapedPath(), "/")
	if len(segments) != 4 || segments[1] != "a" || segments[3] != "b" || u.Fragment != "" {
		t.Fatalf("%q leaves its segment: %s", value, path)
	}
	if plain, err := url.PathUnescape(segments[2]); err != nil || plain != value {
		t.Fatalf("%q arrives as %q", value, plain)
	}
	if q := u.Query(); len(q) != 2 || q.Get("c") != value || q.Get("d") != "e" {
		t.Fatalf("%q leaves its parameter: %s", value, query)
	}
	if clean := u.JoinPath().EscapedPath(); clean != path {
		t.Fatalf("%q makes %s, which means %s", value, path, clean)
	}
}

func TestValuesStayInTheirPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stays(t, rapid.OneOf(rapid.String(), rapid.StringMatching(`[./\\%2eEfF;?#&= \r\n]{0,12}`)).Draw(t, "value"))
	})
}

// FuzzExpand has any template and any value: what a template makes is a URL with as many segments as it has.
func FuzzExpand(f *testing.F) {
	for _, s := range []string{"/a/{b}", "/{}?x={}", "/a.{b}", "/{a}{b}?{c}"} {
		f.Add(s, "../x")
		f.Add(s, "7")
	}
	f.Fuzz(func(t *testing.T, template, value string) {
		stays(t, value)
		tpl, err := Parse(template)
		if err != nil {
			return
		}
		path, query, err := expand(tpl, value)
		if err != nil {
			return
		}
		if strings.Count(path, "/") != strings.Count(tpl.skeleton(), "/") || strings.ContainsAny(path+query, "# \r\n\\") || strings.Contains(path, "?") {
			t.Fatalf("%q with %q: %s?%s", template, value, path, query)
		}
		if _, err := url.ParseRequestURI(path + "?" + query); err != nil {
			t.Fatalf("%q with %q: %v", template, value, err)
		}
	})
}
