package cachepolicy

import (
	"cmp"
	"slices"
)

// NormalizeSpans returns the spans sorted, without empty ones, and with overlapping or adjacent
// ones joined. Meta.Spans has this form: sorted, disjoint and with at least one missing byte
// between any two. The argument does not change.
func NormalizeSpans(spans []Span) []Span {
	sorted := slices.Clone(spans)
	sorted = slices.DeleteFunc(sorted, func(s Span) bool { return s.First < 0 || s.Last < s.First })
	slices.SortFunc(sorted, func(a, b Span) int { return cmp.Compare(a.First, b.First) })
	joined := sorted[:0]
	for _, s := range sorted {
		// s.First-1 can't overflow, because First is not negative.
		if n := len(joined); n > 0 && s.First-1 <= joined[n-1].Last {
			joined[n-1].Last = max(joined[n-1].Last, s.Last)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// UnionSpans returns the bytes that are in a, in b or in both, normalised.
func UnionSpans(a, b []Span) []Span {
	return NormalizeSpans(slices.Concat(a, b))
}

// MissingSpans returns the parts of want that are not in held. held must be normalised.
func MissingSpans(want Span, held []Span) []Span {
	var missing []Span
	next := want.First
	for _, h := range held {
		if h.Last < next {
			continue
		}
		if h.First > want.Last {
			break
		}
		if h.First > next {
			missing = append(missing, Span{First: next, Last: h.First - 1})
		}
		if h.Last >= want.Last {
			return missing
		}
		next = h.Last + 1
	}
	if next <= want.Last {
		missing = append(missing, Span{First: next, Last: want.Last})
	}
	return missing
}

// CoversSpan reports whether held has every byte of want. held must be normalised. An empty want is
// never covered.
func CoversSpan(held []Span, want Span) bool {
	_, ok := SpanOffset(held, want)
	return ok
}

// SpanOffset returns the position of want in a body that is the concatenation of the held spans,
// which must be normalised. Since held spans never touch, a covered span lies in one of them and so
// is contiguous. It reports false if held does not cover want.
func SpanOffset(held []Span, want Span) (Span, bool) {
	if want.First < 0 || want.Last < want.First {
		return Span{}, false
	}
	var before int64
	for _, h := range held {
		if h.First <= want.First && want.Last <= h.Last {
			first := before + want.First - h.First
			return Span{First: first, Last: first + want.Len() - 1}, true
		}
		before += h.Len()
	}
	return Span{}, false
}
