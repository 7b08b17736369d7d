package cachepolicy

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestFreshenHeader(t *testing.T) {
	stored := http.Header{
		"Cache-Control": {"max-age=1"}, "X-Kept": {"a", "b"}, "X-Gone": {"old"}, "Content-Type": {"text/plain"}, "Age": {"77"},
		"Content-Length": {"5"}, "Content-Encoding": {"gzip"}, "Content-Range": {"bytes 0-4/9"}, "Content-Md5": {"x"}, "Etag": {`"a"`},
		"Content-Location": {"/foo"}, "Set-Cookie": {"a=b"},
	}
	update := http.Header{
		"Cache-Control": {"max-age=3600"}, "X-Gone": {"new", "er"}, "Content-Type": {"text/html"}, "X-Added": {"1"}, "Date": {"today"},
		"Content-Length": {"10"}, "Content-Encoding": {"br"}, "Content-Range": {"bytes 5-8/9"}, "Content-Md5": {"y"}, "Content-Digest": {"z"},
		"Etag": {`"b"`}, "Content-Location": {"/bar"}, "Set-Cookie": {"a=c"}, "Connection": {"x-hop, Keep-Alive"}, "X-Hop": {"1"},
		"Keep-Alive": {"5"}, "Transfer-Encoding": {"chunked"}, "Proxy-Authenticate": {"Basic"}, "Upgrade": {"x"}, "Te": {"x"},
	}
	want := http.Header{
		"Cache-Control": {"max-age=3600"}, "X-Kept": {"a", "b"}, "X-Gone": {"new", "er"}, "Content-Type": {"text/html"}, "X-Added": {"1"},
		"Date": {"today"}, "Content-Length": {"5"}, "Content-Encoding": {"gzip"}, "Content-Range": {"bytes 0-4/9"}, "Content-Md5": {"x"},
		"Etag": {`"a"`}, "Content-Location": {"/bar"}, "Set-Cookie": {"a=c"},
	}
	before, beforeUpdate := stored.Clone(), update.Clone()
	got := FreshenHeader(stored, update)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got["X-Kept"][0], got["X-Added"][0] = "changed", "changed"
	if !cmp.Equal(stored, before) || !cmp.Equal(update, beforeUpdate) {
		t.Error("an argument shares memory with the result, or was changed")
	}
}

// someHeader draws fields, including all fields that FreshenHeader treats specially.
func someHeader(t *rapid.T, label string) http.Header {
	names := slices.Concat(fixed, unstorable, []string{"Cache-Control", "Date", "Expires", "Age", "Vary", "X-A", "X-B", "Set-Cookie", "Content-Type"})
	value := rapid.SampledFrom([]string{"", "1", "x-a", "max-age=5", "private=\"x-b\"", `"tag"`, "close, X-B"})
	return rapid.MapOf(rapid.SampledFrom(names), rapid.SliceOfN(value, 1, 2)).Draw(t, label)
}

// TestFreshenHeaderProperties checks that a second equal update changes nothing, and that the
// fields of the stored content stay.
func TestFreshenHeaderProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stored, update := someHeader(t, "stored"), someHeader(t, "update")
		once := FreshenHeader(stored, update)
		if twice := FreshenHeader(once, update); !cmp.Equal(once, twice) {
			t.Fatalf("once %v\ntwice %v", once, twice)
		}
		for _, name := range fixed {
			if !slices.Equal(once[name], stored[name]) {
				t.Fatalf("%s was %q and is %q", name, stored[name], once[name])
			}
		}
	})
}

func TestStripUnstorable(t *testing.T) {
	h := http.Header{
		"Cache-Control": {`max-age=5, private="x-user"`, `no-cache="X-Token, x-other"`}, "X-User": {"u"}, "X-Token": {"t"}, "X-Other": {"o"},
		"Connection": {"close, X-Hop", "x-hop-2"}, "X-Hop": {"1"}, "X-Hop-2": {"1"}, "Keep-Alive": {"1"}, "Proxy-Connection": {"1"},
		"Proxy-Authenticate": {"1"}, "Proxy-Authentication-Info": {"1"}, "Proxy-Authorization": {"1"}, "Te": {"1"}, "Trailer": {"1"},
		"Transfer-Encoding": {"1"}, "Upgrade": {"1"}, "Set-Cookie": {"a=b"}, "Set-Cookie2": {"a=b"}, "Content-Type": {"text/plain"},
	}
	for mode, cookies := range map[SetCookieMode]bool{SetCookiePass: false, SetCookieStrip: false, SetCookieStore: true} {
		want := []string{"Cache-Control", "Content-Type"}
		if cookies {
			want = append(want, "Set-Cookie", "Set-Cookie2")
		}
		got := h.Clone()
		(&Rules{SetCookie: mode}).StripUnstorable(got)
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
			t.Errorf("mode %d leaves %s", mode, strings.Join(names, " "))
		}
	}
}

// TestStripHearsTargetedFields checks that the directives of the targeted field apply to this
// cache.
func TestStripHearsTargetedFields(t *testing.T) {
	h := http.Header{"Cache-Control": {`private="x-a"`}, "Cdn-Cache-Control": {`max-age=5, private="x-b"`}, "X-A": {"1"}, "X-B": {"1"}}
	(&Rules{}).StripUnstorable(h)
	if len(h["X-A"]) == 0 || len(h["X-B"]) != 0 || len(h["Cdn-Cache-Control"]) == 0 {
		t.Errorf("left: %v", h)
	}
}
