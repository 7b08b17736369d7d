package cachepolicy

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestReplay plans for a 206 that declared 4-9/10 and has the five bytes "01234".
func TestReplay(t *testing.T) {
	m := Meta{Status: 206, Flags: FlagInconsistent, Total: 10, Spans: []Span{{4, 9}}}
	open := Meta{Status: 206, Flags: FlagInconsistent, Total: -1, Spans: []Span{{4, 9}}}
	middle := Meta{Status: 206, Flags: FlagInconsistent, Total: 20, Spans: []Span{{4, 9}}}
	body := "01234"
	for _, c := range []struct {
		m           *Meta
		line        string
		kind        RangeKind
		bytes, says string
	}{
		{&m, "bytes=-5", Partial, "01234", "bytes 4-8/10"},
		{&m, "bytes=-6", Partial, "01234", "bytes 4-8/10"},
		{&m, "bytes=-1", Partial, "4", "bytes 8-8/10"},
		{&m, "bytes=-7", Missing, "", ""},
		{&m, "bytes=-0", Unsatisfiable, "", ""},
		{&m, "bytes=6-8", Partial, "234", "bytes 6-8/10"},
		{&m, "bytes=6-", Partial, "234", "bytes 6-8/10"},
		{&m, "bytes=4-9", Partial, "01234", "bytes 4-8/10"},
		{&m, "bytes=4-99", Partial, "01234", "bytes 4-8/10"},
		{&m, "bytes=9-9", Missing, "", ""},
		{&m, "bytes=3-5", Missing, "", ""},
		{&m, "bytes=10-", Unsatisfiable, "", ""},
		{&m, "bytes=4-5,7-8", Missing, "", ""},
		{&m, "bytes=x", Missing, "", ""},
		{&open, "bytes=6-8", Partial, "234", "bytes 6-8/*"},
		{&open, "bytes=6-", Missing, "", ""},
		{&open, "bytes=-1", Missing, "", ""},
		{&middle, "bytes=-1", Missing, "", ""},
		{&middle, "bytes=5-", Missing, "", ""},
		{&middle, "bytes=5-6", Partial, "12", "bytes 5-6/20"},
	} {
		plan := PlanBody(requestFor("/", "Range", c.line), c.m, int64(len(body)))
		if plan.Kind != c.kind {
			t.Errorf("%s of %d: %+v", c.line, c.m.Total, plan)
			continue
		}
		if c.kind != Partial {
			continue
		}
		at := plan.Offsets[0]
		if got, says := body[at.First:at.Last+1], string(AppendContentRange(nil, plan.Spans[0], c.m.Total)); got != c.bytes || says != c.says {
			t.Errorf("%s of %d: %q as %q, want %q as %q", c.line, c.m.Total, got, says, c.bytes, c.says)
		}
	}
	if plan := PlanBody(requestFor("/"), &m, 5); plan.Kind != Missing {
		t.Errorf("counts as complete: %+v", plan)
	}
	if plan := PlanRange(requestFor("/", "Range", "bytes=-5"), &m); plan.Kind != Partial {
		t.Errorf("PlanRange, which relies on the facts: %+v", plan)
	}
	if plan := PlanBody(requestFor("/", "Range", "bytes=-5"), &m, 0); plan.Kind != Missing {
		t.Errorf("without a byte: %+v", plan)
	}
}

func TestReplayClaimsNoMoreThanItSends(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Int64Range(0, 9).Draw(t, "first")
		declared := Span{first, first + rapid.Int64Range(0, 9).Draw(t, "length")}
		m := &Meta{Status: 206, Flags: FlagInconsistent, Total: rapid.SampledFrom([]int64{-1, declared.Last + 1, declared.Last + 3}).Draw(t, "total"), Spans: []Span{declared}}
		held := rapid.Int64Range(0, declared.Len()).Draw(t, "held")
		a, b := rapid.Int64Range(0, 20).Draw(t, "a"), rapid.Int64Range(0, 20).Draw(t, "b")
		line := rapid.SampledFrom([]string{fmt.Sprintf("bytes=%d-%d", a, b), fmt.Sprintf("bytes=%d-", a), fmt.Sprintf("bytes=-%d", b)}).Draw(t, "line")
		plan := PlanBody(requestFor("/", "Range", line), m, held)
		for i, s := range plan.Spans {
			at := plan.Offsets[i]
			if at.First < 0 || at.Last >= held || at.Len() != s.Len() || s.Len() <= 0 || !CoversSpan(m.Spans, s) || at.First != s.First-first {
				t.Fatalf("%s of %v with %d bytes: %+v", line, declared, held, plan)
			}
		}
	})
}
