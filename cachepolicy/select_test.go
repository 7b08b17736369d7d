package cachepolicy

import (
	"testing"
	"time"
)

// variant is a stored response of the test: its request's fields, its Vary, its language and its
// order.
func variant(t testing.TB, seq uint64, vary, language string, fields ...string) *Meta {
	t.Helper()
	return &Meta{Seq: seq, Language: language, Vary: varyOn(t, requestFor("/", fields...), vary)}
}

func TestSelect(t *testing.T) {
	foo1, foo2 := variant(t, 1, "Foo", "", "Foo", "1"), variant(t, 2, "Foo", "", "Foo", "2")
	foo1Again := variant(t, 3, "Foo", "", "Foo", "1")
	plain := variant(t, 4, "", "")
	fooOld := variant(t, 1, "Foo", "", "Foo", "1")
	fooOld.Date = time.Unix(100, 0)
	fooNew := variant(t, 1, "Foo", "", "Foo", "1")
	fooNew.Date = time.Unix(200, 0)
	for _, c := range []struct {
		name   string
		stored []*Meta
		asked  []string
		want   int
	}{
		{"nothing stored", nil, nil, -1},
		{"one that matches", []*Meta{foo1}, []string{"Foo", "1"}, 0},
		{"one that doesn't", []*Meta{foo1}, []string{"Foo", "3"}, -1},
		{"two variants, first", []*Meta{foo1, foo2}, []string{"Foo", "1"}, 0},
		{"two variants, second", []*Meta{foo1, foo2}, []string{"Foo", "2"}, 1},
		{"the newer of two", []*Meta{foo1, foo1Again, foo2}, []string{"Foo", "1"}, 1},
		{"the newer of two, in front", []*Meta{foo1Again, foo1}, []string{"Foo", "1"}, 0},
		{"a newer one without Vary", []*Meta{foo1, plain}, []string{"Foo", "1"}, 1},
		{"an older one without Vary", []*Meta{foo2, plain}, []string{"Foo", "1"}, 1},
		{"the later Date", []*Meta{fooOld, fooNew}, []string{"Foo", "1"}, 1},
		{"the later Date, in front", []*Meta{fooNew, fooOld}, []string{"Foo", "1"}, 0},
	} {
		if got := Select(requestFor("/", c.asked...), c.stored); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestSelectByLanguage(t *testing.T) {
	german := variant(t, 1, "Accept-Language", "de", "Accept-Language", "en, de")
	newGerman := variant(t, 5, "Accept-Language", "de", "Accept-Language", "de, it")
	english := variant(t, 9, "Accept-Language", "en", "Accept-Language", "en")
	swiss := variant(t, 1, "Accept-Language", "de-ch", "Accept-Language", "de-CH")
	bilingual := variant(t, 1, "Accept-Language", "de, en", "Accept-Language", "de, en, fr")
	silent := variant(t, 1, "Accept-Language", "", "Accept-Language", "en, de")
	byPlan := variant(t, 1, "Accept-Language, Plan", "de", "Accept-Language", "en, de", "Plan", "pro")
	byPlanAlone := variant(t, 1, "Plan", "de", "Plan", "pro")
	for _, c := range []struct {
		name   string
		stored []*Meta
		asked  []string
		want   int
	}{
		{"the first choice", []*Meta{german}, []string{"Accept-Language", "fr;q=0.5, de;q=1.0"}, 0},
		{"in another case", []*Meta{german}, []string{"Accept-Language", "DE, fr;q=0.5"}, 0},
		{"on another line", []*Meta{german}, []string{"Accept-Language", "fr;q=0.5", "Accept-Language", "de"}, 0},
		{"not the first choice", []*Meta{german}, []string{"Accept-Language", "de;q=0.5, fr"}, -1},
		{"two first choices", []*Meta{german}, []string{"Accept-Language", "de, fr"}, -1},
		{"refused", []*Meta{german}, []string{"Accept-Language", "de;q=0"}, -1},
		{"anything", []*Meta{german}, []string{"Accept-Language", "*"}, -1},
		{"malformed", []*Meta{german}, []string{"Accept-Language", "de;q=high"}, -1},
		{"no wish", []*Meta{german}, nil, -1},
		{"a region of it", []*Meta{german}, []string{"Accept-Language", "de-CH"}, -1},
		{"the language of a region", []*Meta{swiss}, []string{"Accept-Language", "de"}, -1},
		{"two languages in one", []*Meta{bilingual}, []string{"Accept-Language", "de"}, -1},
		{"no Content-Language", []*Meta{silent}, []string{"Accept-Language", "de"}, -1},
		{"the newest", []*Meta{german, newGerman, english}, []string{"Accept-Language", "de, fr;q=0.5"}, 1},
		{"an exact match goes first", []*Meta{newGerman, german}, []string{"Accept-Language", "de, en"}, 1},
		{"the rest matches too", []*Meta{byPlan}, []string{"Accept-Language", "de", "Plan", "pro"}, 0},
		{"the rest doesn't", []*Meta{byPlan}, []string{"Accept-Language", "de", "Plan", "free"}, -1},
		{"the language is not the difference", []*Meta{byPlanAlone}, []string{"Accept-Language", "de", "Plan", "free"}, -1},
	} {
		if got := Select(requestFor("/", c.asked...), c.stored); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	damaged := &Meta{Language: "de", Vary: german.Vary[:len(german.Vary)-1]}
	if got := Select(requestFor("/", "Accept-Language", "de"), []*Meta{damaged}); got != -1 {
		t.Errorf("a damaged Vary is selected: %d", got)
	}
}

func TestSelectAllocatesNothing(t *testing.T) {
	stored := []*Meta{
		variant(t, 1, "Accept-Language, Plan", "en", "Accept-Language", "en", "Plan", "pro"), variant(t, 2, "Accept-Language, Plan", "de", "Accept-Language", "en, de", "Plan", "pro"),
	}
	for name, q := range map[string]*Request{
		"match":    requestFor("/", "Accept-Language", "en", "Plan", "pro"),
		"language": requestFor("/", "Accept-Language", "fr;q=0.5, de", "Plan", "pro"),
		"none":     requestFor("/", "Accept-Language", "fr", "Plan", "pro"),
	} {
		if got := testing.AllocsPerRun(100, func() { Select(q, stored) }); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

func BenchmarkSelect(b *testing.B) {
	stored := make([]*Meta, 8)
	for i := range stored {
		stored[i] = variant(b, uint64(i), "Plan", "", "Plan", string(rune('a'+i)))
	}
	q := requestFor("/", "Plan", "a")
	b.ReportAllocs()
	for b.Loop() {
		Select(q, stored)
	}
}
