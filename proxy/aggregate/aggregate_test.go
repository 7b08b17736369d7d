package aggregate

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/proxy/rawjson"
)

// TestReuseProperty checks that the whole is never reused longer, or by more clients, than each
// part allows.
func TestReuseProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var u reuse
		shortest, silent, open, age := time.Duration(1<<62), false, true, 0
		for range rapid.IntRange(1, 5).Draw(t, "parts") {
			a := &Answer{Header: http.Header{}, Fresh: time.Duration(rapid.IntRange(-5, 500).Draw(t, "fresh")) * time.Second}
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				a.Silent, silent = true, true
			case 1:
				open = false
				a.Header.Set("Cache-Control", rapid.SampledFrom([]string{"private", "no-store", "max-age=5, No-Store"}).Draw(t, "control"))
			default:
				a.Shared = true
				shortest = min(shortest, max(0, a.Fresh))
			}
			if n := rapid.IntRange(0, 100).Draw(t, "age"); n > 0 {
				a.Header.Set("Age", strconv.Itoa(n))
				age = max(age, n)
			}
			u.add(a, nil, "")
		}
		ttl := time.Duration(rapid.IntRange(0, 20).Draw(t, "ttl")) * time.Second
		if silent {
			shortest = min(shortest, ttl)
		}
		if rapid.Bool().Draw(t, "missing") {
			u.missing(2 * time.Second)
			shortest = min(shortest, 2*time.Second)
		}
		control := u.control(ttl, false)
		seconds, lives := strings.CutPrefix(control, "max-age=")
		switch {
		case !open && (lives || control == ""):
			t.Fatalf("%q, although a part is private or not to be stored", control)
		case lives:
			n, err := strconv.Atoi(seconds)
			if left := time.Duration(n-age) * time.Second; err != nil || left > shortest || left < 0 {
				t.Fatalf("%q with Age %d: %v left, the shortest of the parts has %v", control, age, left, shortest)
			}
		case open && !silent:
			t.Fatalf("%q, though all parts say how long", control)
		}
	})
}

// TestExpandProperty checks that each value stays within its path segment or parameter.
func TestExpandProperty(t *testing.T) {
	template, err := ParseTemplate("/a/{id}/b?q={id}&z=1")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.OneOf(rapid.String(), rapid.StringMatching(`[./?#%&;:@\\\r\n a-c]{0,8}`)).Draw(t, "value")
		u, err := template.Expand(func(Ref) (string, error) { return v, nil })
		control := v == "" || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f })
		dots := slices.ContainsFunc(strings.FieldsFunc(v, func(r rune) bool { return r == '/' || r == '\\' }), func(s string) bool {
			s, _, _ = strings.Cut(s, ";")
			return s == "." || s == ".."
		})
		if err == nil && (control || dots) || err != nil && !control && !strings.ContainsAny(v, ".%") {
			t.Fatalf("%q: %v", v, err)
		}
		if err != nil {
			return
		}
		again, err := url.ParseRequestURI(u.RequestURI())
		if err != nil || again.RawQuery != u.RawQuery || again.Fragment != "" {
			t.Fatalf("%q makes %q", v, u.RequestURI())
		}
		segments := strings.Split(again.EscapedPath(), "/")
		if len(segments) != 4 || segments[1] != "a" || segments[3] != "b" {
			t.Fatalf("%q makes the path %q", v, again.EscapedPath())
		}
		if got, _ := url.PathUnescape(segments[2]); got != v {
			t.Fatalf("%q arrives as %q", v, got)
		}
		if q := again.Query(); len(q) != 2 || len(q["q"]) != 1 || strings.ToValidUTF8(q.Get("q"), "") != strings.ToValidUTF8(v, "") || q.Get("z") != "1" {
			t.Fatalf("%q makes the query %q", v, again.RawQuery)
		}
	})
}

// FuzzTemplate checks that a parsed template can be filled in, and asks only for the values that it
// names.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"/a/{id}", "/a?b={query.c}&d={x.y.0}", "/{}", "/{a.b", "a", "/{.}", "/{*}", "/a/../{b}", "/%zz{a}"} {
		f.Add(seed, "v")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		template, err := ParseTemplate(text)
		if err != nil {
			return
		}
		asked := 0
		u, err := template.Expand(func(Ref) (string, error) { asked++; return value, nil })
		if err == nil && asked != len(template.Refs()) {
			t.Fatalf("%q asks for %d values of %d", text, asked, len(template.Refs()))
		}
		if err == nil && slices.ContainsFunc(strings.Split(u.EscapedPath(), "/"), func(s string) bool { return s == ".." }) {
			t.Fatalf("%q with %q makes %q", text, value, u.EscapedPath())
		}
	})
}

// FuzzSelect checks that a selected part of a response is a JSON value.
func FuzzSelect(f *testing.F) {
	f.Add([]byte(`{"a":[{"b":1},{"b":"x"}]}`), "a.#.b")
	f.Add([]byte(`[1,2]`), "0")
	f.Fuzz(func(t *testing.T, body []byte, path string) {
		p, err := rawjson.ParsePath(path)
		if err != nil {
			return
		}
		value, err := content(&Answer{Status: 200, Body: body}, p)
		if err == nil && !json.Valid(value) {
			t.Fatalf("%s of %q is %q", path, body, value)
		}
	})
}

// TestMergeProperty checks that a merged object has all members of its sources and no others.
func TestMergeProperty(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	var object func(depth int) *rapid.Generator[map[string]any]
	object = func(depth int) *rapid.Generator[map[string]any] {
		value := rapid.Map(rapid.IntRange(0, 9), func(n int) any { return float64(n) })
		if depth > 0 {
			value = rapid.OneOf(value, rapid.Map(object(depth-1), func(m map[string]any) any { return m }))
		}
		return rapid.MapOfN(names, value, 0, 4)
	}
	rapid.Check(t, func(t *rapid.T) {
		one, two := object(2).Draw(t, "one"), object(2).Draw(t, "two")
		a, _ := json.Marshal(one)
		b, _ := json.Marshal(two)
		got, err := deep([]named{{"one", a}, {"two", b}, {"none", nil}})
		want, clash := union(one, two)
		if clash != (err != nil) {
			t.Fatalf("%s and %s: %v", a, b, err)
		}
		if err != nil {
			return
		}
		var back map[string]any
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		x, _ := json.Marshal(back)
		y, _ := json.Marshal(want)
		if string(x) != string(y) || rawjson.Check(got) != nil {
			t.Fatalf("%s and %s make %s, want %s", a, b, x, y)
		}
	})
}

// union merges objects, as the model for the test.
func union(one, two map[string]any) (out map[string]any, clash bool) {
	out = map[string]any{}
	for k, v := range one {
		out[k] = v
	}
	for k, v := range two {
		had, ok := out[k]
		if !ok {
			out[k] = v
			continue
		}
		a, isA := had.(map[string]any)
		b, isB := v.(map[string]any)
		if !isA || !isB {
			clash = true
			continue
		}
		merged, bad := union(a, b)
		out[k], clash = merged, clash || bad
	}
	return out, clash
}
