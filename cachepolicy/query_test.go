package cachepolicy

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestKeyQuery(t *testing.T) {
	exclude := Rules{QueryExclude: []string{"utm_*", "fbclid"}}
	include := Rules{QueryInclude: []string{"id", "page*"}}
	sorted := Rules{QuerySort: true}
	var mixed, as, bs []string
	for i := range 100 {
		a, b := fmt.Sprintf("a=%d", i*37%100), fmt.Sprintf("b=%d", i)
		mixed, as, bs = append(mixed, b, a), append(as, a), append(bs, b)
	}
	for _, c := range []struct {
		name      string
		rules     Rules
		raw, want string
	}{
		{"star is all", Rules{QueryInclude: []string{"*"}}, "b=2&a=1&&", "b=2&a=1&&"},
		{"excluded at the front", exclude, "utm_source=x&a=1", "a=1"},
		{"excluded at the end", exclude, "a=1&fbclid=9", "a=1"},
		{"excluded in the middle", exclude, "b=2&utm_medium=m&a=1", "b=2&a=1"},
		{"all excluded", exclude, "utm_a=1&utm_b=2", ""},
		{"values are never looked at", exclude, "a=utm_x&b=fbclid", "a=utm_x&b=fbclid"},
		{"a name without value", exclude, "utm_a&b", "b"},
		{"encoded name", exclude, "%75tm_source=x&a=1", "a=1"},
		{"plus is a space", exclude, "utm+x=1&a=1", "utm+x=1&a=1"},
		{"case counts", exclude, "UTM_x=1", "UTM_x=1"},
		{"an encoded percent sign", exclude, "utm_%25=1&a=1", "a=1"},
		{"broken encoding stays", exclude, "utm_%zz=1&a=1", "utm_%zz=1&a=1"},
		{"cut encoding stays", exclude, "utm_%4=1", "utm_%4=1"},
		{"semicolon stays", exclude, "utm_x=1;id=2&a=1", "utm_x=1;id=2&a=1"},
		{"empty parameters stay", exclude, "a=1&&b=2&", "a=1&&b=2&"},
		{"included", include, "id=1&x=2&page=3&pagesize=4", "id=1&page=3&pagesize=4"},
		{"included encoded", include, "%69d=1&x=2", "%69d=1"},
		{"included twice", include, "id=1&id=2", "id=1&id=2"},
		{"semicolon stays beside included", include, "x=1;id=5", "x=1;id=5"},
		{"none included", Rules{QueryInclude: []string{}}, "a=1&b=2", ""},
		{"exclude wins", Rules{QueryInclude: []string{"a*"}, QueryExclude: []string{"ab"}}, "a=1&ab=2&ac=3&b=4", "a=1&ac=3"},
		{"sorted by name", sorted, "b=2&a=1", "a=1&b=2"},
		{"values keep their order", sorted, "b=2&a=9&b=1&a=3", "a=9&a=3&b=2&b=1"},
		{"encoded names are names", sorted, "b=1&a=2&%61=1", "a=2&%61=1&b=1"},
		{"not sorted across a semicolon", sorted, "b=1;a=2&a=3", "b=1;a=2&a=3"},
		{"longer name after its prefix", sorted, "ab=1&a=2", "a=2&ab=1"},
		{"many values keep their order", sorted, strings.Join(mixed, "&"), strings.Join(append(as, bs...), "&")},
		{"sorted already", sorted, "a=1&b=2", "a=1&b=2"},
	} {
		if got := c.rules.KeyQuery(c.raw); got != c.want {
			t.Errorf("%s: KeyQuery(%q) = %q, want %q", c.name, c.raw, got, c.want)
		}
	}
}

// slowQuery is a second implementation of KeyQuery with net/url.
func slowQuery(r *Rules, raw string) string {
	name := func(p string) (string, bool) {
		n, _, _ := strings.Cut(p, "=")
		decoded, err := url.QueryUnescape(n)
		if err != nil {
			return n, false
		}
		return decoded, true
	}
	matches := func(patterns []string, s string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool {
			return regexp.MustCompile("(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, ".*") + "$").MatchString(s)
		})
	}
	var kept []string
	for _, p := range strings.Split(raw, "&") {
		n, clear := name(p)
		if !clear || strings.Contains(p, ";") || (r.QueryInclude == nil || matches(r.QueryInclude, n)) && !matches(r.QueryExclude, n) {
			kept = append(kept, p)
		}
	}
	if r.QuerySort && !strings.Contains(raw, ";") {
		slices.SortStableFunc(kept, func(a, b string) int {
			na, _ := name(a)
			nb, _ := name(b)
			return strings.Compare(na, nb)
		})
	}
	return strings.Join(kept, "&")
}

func TestKeyQueryTwoWays(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "b", "=", "&", ";", "%61", "%62", "%zz", "%", "+", "utm_", "1", "%26", "%3d"})
	rapid.Check(t, func(t *rapid.T) {
		r := drawRules(t)
		raw := strings.Join(rapid.SliceOf(part).Draw(t, "raw"), "")
		got, want := r.KeyQuery(raw), slowQuery(r, raw)
		if got != want {
			t.Fatalf("KeyQuery(%q) = %q, want %q", raw, got, want)
		}
		if again := r.KeyQuery(got); again != got {
			t.Fatalf("KeyQuery(%q) = %q, and of that %q", raw, got, again)
		}
	})
}

func TestMatchGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"a*", "abc", true}, {"a*", "ba", false}, {"*c", "abc", true},
		{"a*c", "abcbc", true}, {"a*c", "abcb", false}, {"a**c", "ac", true}, {"*b*", "abc", true}, {"?", "a", false}, {"a.c", "abc", false},
		{"*a*a*a*b", strings.Repeat("a", 2000), false},
	} {
		if got := matchGlob(c.pattern, c.s); got != c.want {
			t.Errorf("matchGlob(%q, %.20q) = %v", c.pattern, c.s, got)
		}
	}
}
