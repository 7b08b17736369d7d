package cachepolicy

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestQualifiedDirectives(t *testing.T) {
	for _, c := range []struct {
		line             string
		private, noCache []string
		has              directives
	}{
		{`private="x-user, X-NAME"`, []string{"X-User", "X-Name"}, nil, 0},
		{`private=x-user`, []string{"X-User"}, nil, 0},
		{`no-cache="a", private="b", no-cache="c"`, []string{"B"}, []string{"A", "C"}, 0},
		{`no-cache=", a ,,"`, nil, []string{"A"}, 0},
		{`no-cache`, nil, nil, hasNoCache},
		{`no-cache="a", no-cache`, nil, []string{"A"}, hasNoCache},
		{`private=""`, nil, nil, hasPrivate},
		{`private="a b"`, nil, nil, hasPrivate},
		{`private="a"x`, nil, nil, hasPrivate},
		{`private ="a"`, nil, nil, hasPrivate},
		{`private="a`, nil, nil, hasPrivate | hasNoStore},
	} {
		got := parseCacheControl([]string{c.line})
		if got.has != c.has || !slices.Equal(got.private, c.private) || !slices.Equal(got.noCache, c.noCache) {
			t.Errorf("%s: has=%b private=%q no-cache=%q", c.line, got.has, got.private, got.noCache)
		}
	}
}

func TestRequestControl(t *testing.T) {
	for _, c := range []struct {
		cacheControl, pragma []string
		want                 cacheControl
	}{
		{[]string{"max-age=5, MIN-FRESH=6", "max-stale=7"}, nil, cacheControl{
			has: hasMaxAge | hasMinFresh | hasMaxStale, maxAge: 5 * time.Second, minFresh: 6 * time.Second, maxStale: 7 * time.Second}},
		{[]string{"max-stale"}, nil, cacheControl{has: hasMaxStale, maxStale: anyStaleness}},
		{[]string{"max-stale=3, max-stale"}, nil, cacheControl{has: hasMaxStale, maxStale: 3 * time.Second}},
		{[]string{"max-stale, max-stale=3"}, nil, cacheControl{has: hasMaxStale, maxStale: anyStaleness}},
		{[]string{`no-cache="a"`}, nil, cacheControl{has: hasNoCache}},
		{[]string{"no-store, only-if-cached, no-transform"}, nil, cacheControl{has: hasNoStore | hasOnlyIfCached}},
		{[]string{"s-maxage=5, must-revalidate, private"}, nil, cacheControl{}},
		{nil, []string{"no-cache"}, cacheControl{has: hasNoCache}},
		{nil, []string{"x, NO-cache"}, cacheControl{has: hasNoCache}},
		{nil, []string{"no-store, max-age=0"}, cacheControl{}},
		{[]string{""}, []string{"no-cache"}, cacheControl{}},
	} {
		h := http.Header{}
		if c.cacheControl != nil {
			h["Cache-Control"] = c.cacheControl
		}
		if c.pragma != nil {
			h["Pragma"] = c.pragma
		}
		got := parseRequestControl(h)
		if got.has != c.want.has || got.maxAge != c.want.maxAge || got.minFresh != c.want.minFresh || got.maxStale != c.want.maxStale {
			t.Errorf("Cache-Control %q, Pragma %q: got %+v, want %+v", c.cacheControl, c.pragma, got, c.want)
		}
	}
}

func TestNoTransform(t *testing.T) {
	for line, want := range map[string]bool{
		"no-transform": true, "max-age=5, NO-Transform": true, "no-transform=1": true,
		"": false, "max-age=5": false, `x="no-transform"`: false, "no-transformation": false,
	} {
		if got := NoTransform(http.Header{"Cache-Control": {"public", line}}); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

// FuzzCacheControl checks that no neighbouring text hides a no-store, and that a quoted argument is
// never read as directives.
func FuzzCacheControl(f *testing.F) {
	for _, seed := range []string{
		"max-age=60", `extension="max-age=3600", max-age=1`, `a="b`, `"`, `a="\`, `a="b"c"`, `a "`, `=`, `,,=,`, "max-age =5", "max-age= 5",
		`private="a, b", no-cache=c`, `x=y=z`, "max-age=99999999999999999999", "\x00=\xff", `s-maxage="7"`, "public, immutable, stale-if-error=1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		alone := parseCacheControl([]string{line})
		for _, lines := range [][]string{{line + ", no-store"}, {"no-store, " + line}, {line, "no-store"}, {"no-store", line}} {
			if c := parseCacheControl(lines); !c.any(hasNoStore) {
				t.Errorf("%q: no-store is lost", lines)
			}
		}
		for _, d := range []time.Duration{alone.maxAge, alone.sMaxAge, alone.staleRevalid, alone.staleError} {
			if d < 0 || d > maxDelta {
				t.Errorf("%q: duration %s", line, d)
			}
		}
		for _, name := range slices.Concat(alone.private, alone.noCache) {
			if !isToken(name) || name != http.CanonicalHeaderKey(name) {
				t.Errorf("%q: field name %q", line, name)
			}
		}
		quoted := `ext="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(line) + `", max-age=7`
		if c := parseCacheControl([]string{quoted}); c.has != hasMaxAge || c.maxAge != 7*time.Second {
			t.Errorf("%s: read as %+v", quoted, c)
		}
		h := http.Header{"Cache-Control": {line, "no-store"}}
		if c := parseRequestControl(h); !c.any(hasNoStore) || c.maxAge < 0 || c.maxStale < 0 || c.minFresh < 0 {
			t.Errorf("%q in a request: %+v", line, c)
		}
	})
}

func BenchmarkParseCacheControl(b *testing.B) {
	lines := []string{"public, max-age=31536000, stale-while-revalidate=30, immutable"}
	b.ReportAllocs()
	for b.Loop() {
		parseCacheControl(lines)
	}
}
