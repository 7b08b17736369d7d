package cachepolicy

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestTagComparison is the table of RFC 9110 §8.8.3.2, and tags that break the grammar.
func TestTagComparison(t *testing.T) {
	for _, c := range []struct {
		a, b         string
		strong, weak bool
	}{
		{`W/"1"`, `W/"1"`, false, true},
		{`W/"1"`, `W/"2"`, false, false},
		{`W/"1"`, `"1"`, false, true},
		{`"1"`, `"1"`, true, true},
		{`"1"`, `"2"`, false, false},
		{`""`, `""`, true, true},
		{`""`, "", false, false},
		{"", "", false, false},
		{"1", `"1"`, false, true},
		{"1", "1", false, true},
		{`w/"1"`, `W/"1"`, false, true},
		{`W\"1"`, `W\"1"`, false, true},
		{`"1`, `"1`, false, true},
		{`"a"`, `"A"`, false, false},
		{`"a b"`, `"a b"`, false, true},
		{`"a"b"`, `"a"b"`, false, true},
		{`"ü"`, `"ü"`, true, true},
	} {
		for _, p := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			if got := strongMatch(p[0], p[1]); got != c.strong {
				t.Errorf("strongMatch(%q, %q) = %v", p[0], p[1], got)
			}
			if got := weakMatch(p[0], p[1]); got != c.weak {
				t.Errorf("weakMatch(%q, %q) = %v", p[0], p[1], got)
			}
		}
	}
}

func tagsOf(list string) []string {
	var tags []string
	for tag, rest := nextTag(list); tag != ""; tag, rest = nextTag(rest) {
		tags = append(tags, tag)
	}
	return tags
}

func TestNextTag(t *testing.T) {
	for _, c := range []struct {
		list string
		want []string
	}{
		{"", nil},
		{" , ,\t", nil},
		{`"a"`, []string{`"a"`}},
		{`"a","b" , W/"c"`, []string{`"a"`, `"b"`, `W/"c"`}},
		{`"a, b", "c"`, []string{`"a, b"`, `"c"`}},
		{`a, b c ,"d"`, []string{"a", "b c", `"d"`}},
		{`"a" "b"`, []string{`"a"`, `"b"`}},
		{`"a, b`, []string{`"a`, "b"}},
		{`W, W/, Wx`, []string{"W", "W/", "Wx"}},
		{`w/"a,b", W"c,d", W\"e,f"`, []string{`w/"a,b"`, `W"c,d"`, `W\"e,f"`}},
		{`""`, []string{`""`}},
	} {
		if got := tagsOf(c.list); !slices.Equal(got, c.want) {
			t.Errorf("%q has the tags %q, want %q", c.list, got, c.want)
		}
	}
}

func TestNextTagSplitsJoinedTags(t *testing.T) {
	tag := rapid.StringMatching(`(W/)?"[!#-~ü,]{0,5}"`)
	separator := rapid.SampledFrom([]string{",", ", ", " ,", ",,", " , ,\t"})
	rapid.Check(t, func(t *rapid.T) {
		tags := rapid.SliceOfN(tag, 1, 5).Draw(t, "tags")
		if got := tagsOf(strings.Join(tags, separator.Draw(t, "separator"))); !slices.Equal(got, tags) {
			t.Fatalf("tags %q, want %q", got, tags)
		}
	})
}
