package cachepolicy

import (
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
)

// FuzzTargeted checks that a field counts exactly if it is a valid, non-empty dictionary, and that
// its values stay within bounds.
func FuzzTargeted(f *testing.F) {
	for _, seed := range []string{
		"max-age=60", "max-age=60;x=1, no-store", "none", "", " ", "&&&", "max-age=60,", `private="a, b"`, "no-cache=(a \"b\")", "public=?0",
		"max-age=-1", "max-age=999999999999999", "max-age=1.5", "s-maxage=@5", "private=:YQ==:", "MAX-AGE=1", `private=%"f%c3%bc"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		dict, err := httpsfv.UnmarshalDictionary([]string{line})
		valid := err == nil && len(dict.Names()) > 0
		c, ok := parseTargeted([]string{line})
		if ok != valid {
			t.Fatalf("%q: counts %v, valid %v", line, ok, valid)
		}
		if !ok && (c.has != 0 || c.private != nil || c.noCache != nil) {
			t.Errorf("%q: invalid, but says %+v", line, c)
		}
		for _, d := range []time.Duration{c.maxAge, c.sMaxAge, c.staleRevalid, c.staleError} {
			if d < 0 || d > maxDelta {
				t.Errorf("%q: duration %s", line, d)
			}
		}
		if valid {
			if c, _ := parseTargeted([]string{line, "no-store"}); !c.any(hasNoStore) {
				t.Errorf("%q: no-store is lost", line)
			}
		}
	})
}

func TestTargetedAbsent(t *testing.T) {
	if _, ok := parseTargeted(nil); ok {
		t.Error("an absent field counts")
	}
}
