package store

import (
	"testing"
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

// TestLeastUsedVariantMakesRoom stores variants a, b, c, …, chooses some of them, and stores one
// more.
func TestLeastUsedVariantMakesRoom(t *testing.T) {
	for name, c := range map[string]struct {
		chosen string // in this order, one second apart
		most   int
		goes   string
	}{
		"none was chosen: the first stored":        {"", 4, "a"},
		"the only one that was not":                {"acd", 4, "b"},
		"the one that was not chosen for longest":  {"abcd", 4, "a"},
		"the one chosen less often, though lately": {"aabbccd", 4, "d"},
		"often enough is often enough":             {"aaaaaaaaaabbbbbbbccccccccdddddddd", 4, "a"},
		"a scan takes its own":                     {"aab", 4, "c"},
		"a lower limit than before":                {"bd", 2, "abc"},
	} {
		t.Run(name, func(t *testing.T) {
			o := &Object{}
			now := time.Unix(1_000_000, 0)
			for _, v := range []string{"a", "b", "c", "d"} {
				o = o.with(living(v, now), 0, now)
			}
			at := now
			for _, v := range c.chosen {
				at = at.Add(time.Second)
				for _, e := range o.Variants {
					if e.Vary == cachepolicy.Vary(v) {
						e.Pick(at)
					}
				}
			}
			o = o.with(living("new", now), c.most, now)
			left := map[cachepolicy.Vary]bool{}
			for _, e := range o.Variants {
				left[e.Vary] = true
			}
			if o.Variants[0].Vary != "new" || len(o.Variants) != c.most {
				t.Errorf("%d variants, the first %q", len(o.Variants), o.Variants[0].Vary)
			}
			for _, v := range c.goes {
				if left[cachepolicy.Vary(v)] {
					t.Errorf("%c stays", v)
				}
			}
		})
	}
}

// living returns a variant with a long lifetime.
func living(vary string, now time.Time) *Entry {
	e := &Entry{Meta: cachepolicy.Meta{Vary: cachepolicy.Vary(vary), Born: now, Lifetime: time.Hour}, Representations: make([]Representation, 1)}
	return e
}

// TestPickWritesOnceASecond checks that a hot variant is not written to at each use.
func TestPickWritesOnceASecond(t *testing.T) {
	e, now := living("a", time.Unix(1, 0)), time.Unix(100, 0)
	for range 20 {
		e.Pick(now)
	}
	before := e.picked.Load()
	if e.Pick(now.Add(time.Millisecond)); e.picked.Load() != before {
		t.Error("written to twice in a second")
	}
	if e.Pick(now.Add(time.Second)); e.picked.Load() == before {
		t.Error("not written to in the next second")
	}
}
