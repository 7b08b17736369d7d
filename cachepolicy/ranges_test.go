package cachepolicy

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseRange(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, ",%d-%d", i*10, i*10+1)
		}
		return "bytes=" + b.String()[1:]
	}
	for _, c := range []struct {
		in    string
		total int64
		kind  RangeKind
		want  []Span
	}{
		{"bytes=0-4", 10, Partial, []Span{{0, 4}}},
		{"bytes=0-0", 10, Partial, []Span{{0, 0}}},
		{"BYTES=0-4", 10, Partial, []Span{{0, 4}}},
		{"bytes=4-", 10, Partial, []Span{{4, 9}}},
		{"bytes=0-", 10, Partial, []Span{{0, 9}}},
		{"bytes=-3", 10, Partial, []Span{{7, 9}}},
		{"bytes=-10", 10, Partial, []Span{{0, 9}}},
		{"bytes=-99", 10, Partial, []Span{{0, 9}}},
		{"bytes=8-99", 10, Partial, []Span{{8, 9}}},
		{"bytes=0-99999999999999999999999", 10, Partial, []Span{{0, 9}}},
		{"bytes=-99999999999999999999999", 10, Partial, []Span{{0, 9}}},
		{"bytes=99999999999999999999999-", 10, Unsatisfiable, nil},
		{"bytes=10-", 10, Unsatisfiable, nil},
		{"bytes=10-12", 10, Unsatisfiable, nil},
		{"bytes=-0", 10, Unsatisfiable, nil},
		{"bytes=-0,10-", 10, Unsatisfiable, nil},
		{"bytes=0-", 0, Unsatisfiable, nil},
		{"bytes=-1", 0, Whole, nil},
		{"bytes=0-1, 4-5", 10, Partial, []Span{{0, 1}, {4, 5}}},
		{"bytes=4-5,0-1", 10, Partial, []Span{{0, 1}, {4, 5}}},
		{"bytes=0-1,2-3", 10, Partial, []Span{{0, 3}}},
		{"bytes=0-5,3-7", 10, Partial, []Span{{0, 7}}},
		{"bytes=0-1,99-", 10, Partial, []Span{{0, 1}}},
		{"bytes=0-1,-0", 10, Partial, []Span{{0, 1}}},
		{"bytes= 0-1 ,, 4-5,", 10, Partial, []Span{{0, 1}, {4, 5}}},
		{many(16), 1000, Partial, nil},
		{many(17), 1000, Whole, nil},
		{"items=0-4", 10, Whole, nil},
		{"bytes 0-4", 10, Whole, nil},
		{"bytes =0-4", 10, Whole, nil},
		{"bytes=", 10, Whole, nil},
		{"bytes=,", 10, Whole, nil},
		{"bytes=-", 10, Whole, nil},
		{"bytes=5-4", 10, Whole, nil},
		{"bytes=0-1,5-4", 10, Whole, nil},
		{"bytes=0 - 4", 10, Whole, nil},
		{"bytes=+1-4", 10, Whole, nil},
		{"bytes=0x1-4", 10, Whole, nil},
		{"bytes=--4", 10, Whole, nil},
		{"bytes=1-2-3", 10, Whole, nil},
		{"", 10, Whole, nil},
		{"bytes=0-4", -1, Partial, []Span{{0, 4}}},
		{"bytes=0-4,7-8", -1, Partial, []Span{{0, 4}, {7, 8}}},
		{"bytes=4-", -1, Whole, nil},
		{"bytes=-4", -1, Whole, nil},
		{"bytes=0-1,-4", -1, Whole, nil},
	} {
		got, kind := ParseRange(c.in, c.total)
		if kind != c.kind || c.want != nil && !slices.Equal(got, c.want) || kind != Partial && got != nil {
			t.Errorf("ParseRange(%.60q, %d) = %v, %v, want %v, %v", c.in, c.total, got, kind, c.want, c.kind)
		}
	}
}

// TestRangesAreBounded checks that no Range field makes the answer, or the work for it, larger
// than the representation.
func TestRangesAreBounded(t *testing.T) {
	const total = 1 << 30
	for _, in := range []string{
		"bytes=" + strings.Repeat("0-,", 999) + "0-",
		"bytes=" + strings.Repeat("-1,", 999) + "-1",
		"bytes=0-,1-,2-,3-",
		"bytes=" + strings.Repeat("0-0,", 1<<20) + "0-0",
	} {
		if spans, kind := ParseRange(in, total); kind != Whole {
			t.Errorf("%.40q: %v, %v", in, spans, kind)
		}
	}
	for _, c := range []struct {
		in   string
		want Span
	}{{"bytes=0-0", Span{0, 0}}, {"bytes=-1", Span{total - 1, total - 1}}, {"bytes=0-9223372036854775807", Span{0, total - 1}}, {"bytes=0-,0-", Span{0, total - 1}}} {
		if spans, kind := ParseRange(c.in, total); kind != Partial || !slices.Equal(spans, []Span{c.want}) {
			t.Errorf("%q: %v, %v, want %v", c.in, spans, kind, c.want)
		}
	}
	if _, kind := ParseRange("bytes=9223372036854775807-9223372036854775808", total); kind != Unsatisfiable {
		t.Errorf("huge positions: %v", kind)
	}
}

func TestParseContentRange(t *testing.T) {
	for _, c := range []struct {
		in    string
		span  Span
		total int64
		ok    bool
	}{
		{"bytes 0-4/10", Span{0, 4}, 10, true},
		{"bytes 0-4/*", Span{0, 4}, -1, true},
		{"bytes */10", Span{0, -1}, 10, true},
		{"Bytes 9-9/10", Span{9, 9}, 10, true},
		{"bytes 0-9223372036854775805/9223372036854775806", Span{0, math.MaxInt64 - 2}, math.MaxInt64 - 1, true},
		{"bytes 5-4/10", Span{}, 0, false},
		{"bytes 0-10/10", Span{}, 0, false},
		{"bytes 0-0/0", Span{}, 0, false},
		{"bytes */*", Span{}, 0, false},
		{"bytes */", Span{}, 0, false},
		{"bytes 0-4", Span{}, 0, false},
		{"bytes 0-4/", Span{}, 0, false},
		{"bytes -4/10", Span{}, 0, false},
		{"bytes 0-/10", Span{}, 0, false},
		{"bytes  0-4/10", Span{}, 0, false},
		{"bytes 0-4/10 ", Span{}, 0, false},
		{"bytes 0 -4/10", Span{}, 0, false},
		{"bytes=0-4/10", Span{}, 0, false},
		{"bytes 0-4/10/10", Span{}, 0, false},
		{"bytes 0--4/10", Span{}, 0, false},
		{"bytes 0-4/-10", Span{}, 0, false},
		{"bytes 0-4/99999999999999999999", Span{}, 0, false},
		{"bytes 99999999999999999999-99999999999999999999/*", Span{}, 0, false},
		{"items 0-4/10", Span{}, 0, false},
		{"", Span{}, 0, false},
	} {
		span, total, ok := ParseContentRange(c.in)
		if ok != c.ok || ok && (span != c.span || total != c.total) {
			t.Errorf("ParseContentRange(%q) = %v, %d, %v", c.in, span, total, ok)
		}
		if ok {
			if back := string(AppendContentRange(nil, span, total)); !strings.EqualFold(back, c.in) {
				t.Errorf("AppendContentRange(%v, %d) = %q, want %q", span, total, back, c.in)
			}
		}
	}
}

func TestPlanRange(t *testing.T) {
	modified := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	complete := Meta{Status: 200, Total: 10, ETag: `"v1"`, LastModified: modified, Date: modified.Add(time.Hour)}
	partial := Meta{Status: 206, Total: 10, ETag: `"v1"`, Spans: []Span{{2, 4}, {6, 9}}}
	unknown := Meta{Status: 206, Total: -1, Spans: []Span{{2, 4}}}
	with := func(m Meta, edit func(*Meta)) Meta { edit(&m); return m }
	date := "Fri, 02 Jan 2026 03:04:05 GMT"
	whole, missing, unsatisfiable := RangePlan{Kind: Whole}, RangePlan{Kind: Missing}, RangePlan{Kind: Unsatisfiable}
	one := func(span, at Span) RangePlan {
		return RangePlan{Kind: Partial, Spans: []Span{span}, Offsets: []Span{at}}
	}
	for _, c := range []struct {
		name   string
		m      Meta
		fields []string
		want   RangePlan
	}{
		{"complete, no range", complete, nil, whole},
		{"complete", complete, []string{"Range", "bytes=2-4"}, one(Span{2, 4}, Span{2, 4})},
		{"complete, suffix", complete, []string{"Range", "bytes=-1"}, one(Span{9, 9}, Span{9, 9})},
		{"complete, two", complete, []string{"Range", "bytes=0-0,-1"}, RangePlan{Partial, []Span{{0, 0}, {9, 9}}, []Span{{0, 0}, {9, 9}}}},
		{"complete, unsatisfiable", complete, []string{"Range", "bytes=10-"}, unsatisfiable},
		{"complete, malformed", complete, []string{"Range", "bytes=x"}, whole},
		{"complete, two lines", complete, []string{"Range", "bytes=0-1", "Range", "bytes=3-4"}, whole},
		{"only a 200 has ranges", with(complete, func(m *Meta) { m.Status = 404 }), []string{"Range", "bytes=0-1"}, whole},
		{"length not known", with(complete, func(m *Meta) { m.Total = -1 }), []string{"Range", "bytes=0-1"}, whole},
		{"If-Range, tag", complete, []string{"Range", "bytes=0-1", "If-Range", `"v1"`}, one(Span{0, 1}, Span{0, 1})},
		{"If-Range, other tag", complete, []string{"Range", "bytes=0-1", "If-Range", `"v2"`}, whole},
		{"If-Range, weak tag", with(complete, func(m *Meta) { m.ETag = `W/"v1"` }), []string{"Range", "bytes=0-1", "If-Range", `W/"v1"`}, whole},
		{"If-Range, unquoted tag", with(complete, func(m *Meta) { m.ETag = "v1" }), []string{"Range", "bytes=0-1", "If-Range", "v1"}, whole},
		{"If-Range, no tag stored", with(complete, func(m *Meta) { m.ETag = "" }), []string{"Range", "bytes=0-1", "If-Range", ""}, whole},
		{"If-Range, date", complete, []string{"Range", "bytes=0-1", "If-Range", date}, one(Span{0, 1}, Span{0, 1})},
		{"If-Range, earlier date", complete, []string{"Range", "bytes=0-1", "If-Range", "Fri, 02 Jan 2026 03:04:04 GMT"}, whole},
		{"If-Range, later date", complete, []string{"Range", "bytes=0-1", "If-Range", "Fri, 02 Jan 2026 03:04:06 GMT"}, whole},
		{"If-Range, weak date", with(complete, func(m *Meta) { m.Date = modified }), []string{"Range", "bytes=0-1", "If-Range", date}, whole},
		{"If-Range, date just strong", with(complete, func(m *Meta) { m.Date = modified.Add(time.Second) }), []string{"Range", "bytes=0-1", "If-Range", date}, one(Span{0, 1}, Span{0, 1})},
		{"If-Range, no date stored", with(complete, func(m *Meta) { m.LastModified = time.Time{} }), []string{"Range", "bytes=0-1", "If-Range", date}, whole},
		{"If-Range, two lines", complete, []string{"Range", "bytes=0-1", "If-Range", `"v1"`, "If-Range", `"v1"`}, whole},
		{"If-Range without Range", complete, []string{"If-Range", `"v2"`}, whole},
		{"partial, no range", partial, nil, missing},
		{"partial, covered", partial, []string{"Range", "bytes=7-8"}, one(Span{7, 8}, Span{4, 5})},
		{"partial, all of a span", partial, []string{"Range", "bytes=2-4"}, one(Span{2, 4}, Span{0, 2})},
		{"partial, to the end", partial, []string{"Range", "bytes=8-"}, one(Span{8, 9}, Span{5, 6})},
		{"partial, suffix", partial, []string{"Range", "bytes=-4"}, one(Span{6, 9}, Span{3, 6})},
		{"partial, suffix too long", partial, []string{"Range", "bytes=-5"}, missing},
		{"partial, gap", partial, []string{"Range", "bytes=3-6"}, missing},
		{"partial, several", partial, []string{"Range", "bytes=2-2,9-9"}, RangePlan{Partial, []Span{{2, 2}, {9, 9}}, []Span{{0, 0}, {6, 6}}}},
		{"partial, several with a gap", partial, []string{"Range", "bytes=2-2,5-5"}, missing},
		{"partial, unsatisfiable", partial, []string{"Range", "bytes=10-"}, unsatisfiable},
		{"partial, malformed", partial, []string{"Range", "bytes=x"}, missing},
		{"partial, If-Range", partial, []string{"Range", "bytes=7-8", "If-Range", `"v1"`}, one(Span{7, 8}, Span{4, 5})},
		{"partial, If-Range of another", partial, []string{"Range", "bytes=7-8", "If-Range", `"v2"`}, missing},
		{"unknown total, covered", unknown, []string{"Range", "bytes=3-4"}, one(Span{3, 4}, Span{1, 2})},
		{"unknown total, beyond", unknown, []string{"Range", "bytes=3-5"}, missing},
		{"unknown total, to the end", unknown, []string{"Range", "bytes=3-"}, missing},
		{"unknown total, suffix", unknown, []string{"Range", "bytes=-1"}, missing},
	} {
		if got := PlanRange(requestFor("/", c.fields...), &c.m); !samePlan(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	head := requestFor("/", "Range", "bytes=0-1")
	head.Method = "HEAD"
	if got := PlanRange(head, &complete); got.Kind != Whole {
		t.Errorf("HEAD: %+v", got) // RFC 9110 §14.2
	}
}

func samePlan(a, b RangePlan) bool {
	return a.Kind == b.Kind && slices.Equal(a.Spans, b.Spans) && slices.Equal(a.Offsets, b.Offsets)
}

// TestPlanBodyKeepsWithinTheBody checks that no plan exceeds the stored bytes, whatever the facts
// claim.
func TestPlanBodyKeepsWithinTheBody(t *testing.T) {
	q := requestFor("/", "Range", "bytes=2-9")
	for _, c := range []struct {
		name string
		m    Meta
		held int64
		want RangePlan
	}{
		{"length learnt from the body", Meta{Status: 200, Total: -1}, 8, RangePlan{Partial, []Span{{2, 7}}, []Span{{2, 7}}}},
		{"another length than the facts say", Meta{Status: 200, Total: 10}, 8, RangePlan{Kind: Whole}},
		{"shorter than its spans", Meta{Status: 206, Total: 10, Spans: []Span{{0, 9}}}, 8, RangePlan{Kind: Missing}},
	} {
		if got := PlanBody(q, &c.m, c.held); !samePlan(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestServedRangesAreSlicesOfTheWhole checks that a plan selects the bytes at its positions in the
// representation.
func TestServedRangesAreSlicesOfTheWhole(t *testing.T) {
	spec := rapid.OneOf(rapid.Map(anySpan, func(s Span) string { return fmt.Sprintf("%d-%d", max(0, s.First), max(0, s.Last)) }),
		rapid.Map(rapid.IntRange(0, bitmapSize+2), func(n int) string { return fmt.Sprintf("-%d", n) }),
		rapid.Map(rapid.IntRange(0, bitmapSize+2), func(n int) string { return fmt.Sprintf("%d-", n) }))
	rapid.Check(t, func(t *rapid.T) {
		whole := rapid.SliceOfN(rapid.Byte(), 1, bitmapSize).Draw(t, "whole")
		total := int64(len(whole))
		m := &Meta{Status: 200, Total: total}
		body := whole
		if rapid.Bool().Draw(t, "partial") {
			m.Status, body = 206, nil
			for _, s := range NormalizeSpans(rapid.SliceOfN(anySpan, 1, 4).Draw(t, "held")) {
				if s.Last < total {
					m.Spans = append(m.Spans, s)
					body = append(body, whole[s.First:s.Last+1]...)
				}
			}
			if m.Spans == nil {
				return
			}
			if rapid.Bool().Draw(t, "total unknown") {
				m.Total = -1
			}
		}
		line := "bytes=" + strings.Join(rapid.SliceOfN(spec, 1, 3).Draw(t, "specs"), ",")
		plan := PlanBody(requestFor("/", "Range", line), m, int64(len(body)))
		if !samePlan(plan, PlanRange(requestFor("/", "Range", line), m)) {
			t.Fatalf("%s: PlanRange and PlanBody differ", line)
		}
		if len(plan.Spans) != len(plan.Offsets) || (plan.Kind == Partial) != (len(plan.Spans) > 0) {
			t.Fatalf("%s: %+v", line, plan)
		}
		for i, s := range plan.Spans {
			at := plan.Offsets[i]
			if !bytes.Equal(body[at.First:at.Last+1], whole[s.First:s.Last+1]) {
				t.Fatalf("%s: %v of %v is not %v", line, at, m.Spans, s)
			}
		}
	})
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-4", "bytes=-5", "bytes=5-", "bytes=-0", "bytes=0-1,3-4,-1", "bytes=99999999999999999999-", "bytes=4-1", "items=1-2", "bytes=,,", "bytes= 1-2 "} {
		f.Add(s, int64(10))
		f.Add(s, int64(-1))
	}
	f.Fuzz(func(t *testing.T, s string, total int64) {
		spans, kind := ParseRange(s, total)
		if kind > Unsatisfiable || (kind == Partial) != (len(spans) > 0) || len(spans) > maxRanges {
			t.Fatalf("ParseRange(%q, %d) = %v, %v", s, total, spans, kind)
		}
		next := int64(0)
		for _, span := range spans {
			if span.First < next || span.Last < span.First || total >= 0 && span.Last >= total {
				t.Fatalf("ParseRange(%q, %d) = %v", s, total, spans)
			}
			next = span.Last
		}
	})
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-4/10", "bytes 0-4/*", "bytes */10", "bytes */*", "bytes 4-0/10", "bytes 0-10/10", "bytes 0-9223372036854775807/*", "x 1-2/3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		span, total, ok := ParseContentRange(s)
		if !ok {
			return
		}
		if span.Len() > 0 && (span.First < 0 || total >= 0 && span.Last >= total) || span.Len() <= 0 && total < 0 {
			t.Fatalf("ParseContentRange(%q) = %v, %d", s, span, total)
		}
		back := string(AppendContentRange(nil, span, total))
		if again, n, ok := ParseContentRange(back); !ok || again != span || n != total {
			t.Fatalf("%q becomes %q", s, back)
		}
	})
}

func BenchmarkPlanRange(b *testing.B) {
	q := requestFor("/", "Range", "bytes=100-199")
	m := &Meta{Status: 200, Total: 1 << 20}
	b.ReportAllocs()
	for b.Loop() {
		PlanRange(q, m)
	}
}
