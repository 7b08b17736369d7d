package cachepolicy

import (
	"math"
	"strconv"
	"strings"
)

// RangeKind says how a request's Range field is to be answered from a stored response.
type RangeKind uint8

const (
	Whole         RangeKind = iota // with all that is stored: no range was asked for, or it is to be ignored (RFC 9110 §14.2)
	Partial                        // with 206 and the spans of the plan
	Unsatisfiable                  // with 416 and "Content-Range: bytes */total" (RFC 9110 §15.5.17)
	Missing                        // not at all: bytes that are needed are not held
)

// RangePlan tells what to send of a stored response.
type RangePlan struct {
	Kind    RangeKind
	Spans   []Span // with Partial: positions in the representation, sorted and disjoint, for Content-Range
	Offsets []Span // with Partial: where each of Spans lies in the stored body, whose bytes are the held spans end to end
}

// maxRanges is how many ranges of one request are looked at. A list that is longer, or in which more than maxOverlaps ranges
// overlap others, costs much and serves nobody: RFC 9110 §14.2 lets such a field be ignored, and so the whole is sent.
const (
	maxRanges   = 16
	maxOverlaps = 2
)

// PlanRange decides how the request's Range and If-Range fields are answered from the stored response m (RFC 9110 §14.2,
// RFC 9111 §3.3). It believes what m says is held; whoever is about to slice the body calls PlanBody.
func PlanRange(q *Request, m *Meta) RangePlan {
	return PlanBody(q, m, declaredLength(m))
}

// PlanBody is PlanRange for a caller who has the stored body, of held bytes: the plan never reaches beyond it.
func PlanBody(q *Request, m *Meta, held int64) RangePlan {
	line, wanted := rangeLine(q, m)
	switch {
	case m.Complete():
		if !wanted || m.Status != 200 {
			return RangePlan{Kind: Whole} // RFC 9110 §14.2: only where the answer would be 200
		}
		return planComplete(line, m.Total, held)
	case !wanted:
		return RangePlan{Kind: Missing}
	case m.Flags&FlagInconsistent != 0:
		return planReplay(line, m, held)
	}
	return planPartial(line, m, held)
}

// rangeLine gives the value of the Range field, and whether the request wants a part at all.
func rangeLine(q *Request, m *Meta) (string, bool) {
	lines := q.Header["Range"]
	// RFC 9110 §14.2: defined for GET alone. Range is no list field, so two lines are as good as a malformed one.
	if q.Method != "GET" || len(lines) != 1 {
		return "", false
	}
	return lines[0], ifRangeHolds(q, m)
}

// declaredLength is the length of the stored body as far as m tells, -1 when it doesn't.
func declaredLength(m *Meta) int64 {
	if m.Complete() {
		return m.Total
	}
	var n int64
	for _, s := range m.Spans {
		n += s.Len()
	}
	return n
}

func planComplete(line string, total, held int64) RangePlan {
	if total < 0 {
		total = held // a response that came without a length has one now that it is stored
	}
	if total < 0 || total != held {
		return RangePlan{Kind: Whole}
	}
	spans, kind := ParseRange(line, total)
	return RangePlan{Kind: kind, Spans: spans, Offsets: spans}
}

func planPartial(line string, m *Meta, held int64) RangePlan {
	spans, kind := ParseRange(line, m.Total)
	switch kind {
	case Partial:
	case Unsatisfiable:
		return RangePlan{Kind: Unsatisfiable}
	default:
		return RangePlan{Kind: Missing} // the whole is wanted, or where the range lies depends on the unknown total
	}
	offsets := make([]Span, len(spans))
	for i, s := range spans {
		at, ok := SpanOffset(m.Spans, s)
		if !ok || at.Last >= held {
			return RangePlan{Kind: Missing}
		}
		offsets[i] = at
	}
	return RangePlan{Kind: Partial, Spans: spans, Offsets: offsets}
}

// ParseRange reads a Range field value for a representation of total bytes (RFC 9110 §14.1.2, §14.2). With Partial, spans is
// sorted, disjoint and within total. Whole means that the field is to be ignored: another unit, malformed, or abusive.
// With total < 0, not known, only explicit ranges can be told; a list with any other is Whole.
func ParseRange(s string, total int64) (spans []Span, kind RangeKind) {
	specs, ok := parseRangeSpecs(s)
	if !ok {
		return nil, Whole
	}
	for _, spec := range specs {
		span, kind := spec.resolve(total)
		switch kind {
		case Whole:
			return nil, Whole
		case Partial:
			spans = append(spans, span)
		}
	}
	if len(spans) == 0 {
		return nil, Unsatisfiable
	}
	if len(spans) == 1 {
		return spans, Partial
	}
	joined := NormalizeSpans(spans)
	if overlaps(spans) > maxOverlaps {
		return nil, Whole
	}
	return joined, Partial
}

// overlaps counts the spans that share bytes with one before them in the list.
func overlaps(spans []Span) int {
	n := 0
	for i, s := range spans {
		for _, earlier := range spans[:i] {
			if s.First <= earlier.Last && earlier.First <= s.Last {
				n++
				break
			}
		}
	}
	return n
}

// rangeSpec is one member of a Range list. first < 0: a suffix of length last. last < 0: to the end.
type rangeSpec struct{ first, last int64 }

// resolve gives the span that the spec means. Whole: it has no meaning for this total.
func (r rangeSpec) resolve(total int64) (Span, RangeKind) {
	switch {
	case total < 0:
		if r.first < 0 || r.last < 0 {
			return Span{}, Whole
		}
		return Span{r.first, r.last}, Partial
	case r.first < 0 && r.last == 0:
		return Span{}, Unsatisfiable // §14.1.2: a suffix of no bytes
	case r.first < 0 && total == 0:
		return Span{}, Whole // §14.1.2: satisfiable, but no Content-Range can say "no bytes"
	case r.first < 0:
		return Span{max(0, total-r.last), total - 1}, Partial
	case r.first >= total:
		return Span{}, Unsatisfiable
	case r.last < 0:
		return Span{r.first, total - 1}, Partial
	}
	return Span{r.first, min(r.last, total-1)}, Partial
}

// parseRangeSpecs splits a Range field value of the unit bytes. A single malformed member spoils the whole field.
func parseRangeSpecs(s string) ([]rangeSpec, bool) {
	unit, list, ok := strings.Cut(s, "=")
	if !ok || !strings.EqualFold(unit, "bytes") { // RFC 9110 §14.1: range units are case-insensitive
		return nil, false
	}
	specs := make([]rangeSpec, 0, 1)
	for list != "" {
		var member string
		member, list, _ = strings.Cut(list, ",")
		member = trimOWS(member)
		if member == "" {
			continue // RFC 9110 §5.6.1.2: empty list members are ignored
		}
		spec, ok := parseRangeSpec(member)
		if !ok || len(specs) == maxRanges {
			return nil, false
		}
		specs = append(specs, spec)
	}
	return specs, len(specs) > 0
}

func parseRangeSpec(s string) (rangeSpec, bool) {
	a, b, ok := strings.Cut(s, "-")
	if !ok || a == "" && b == "" {
		return rangeSpec{}, false
	}
	spec := rangeSpec{-1, -1}
	if a != "" {
		if spec.first, ok = parsePosition(a); !ok {
			return rangeSpec{}, false
		}
	}
	if b != "" {
		if spec.last, ok = parsePosition(b); !ok {
			return rangeSpec{}, false
		}
	}
	if a != "" && b != "" && spec.last < spec.first {
		return rangeSpec{}, false // RFC 9110 §14.1.1: an int-range that ends before it begins is invalid
	}
	return spec, true
}

// parsePosition reads 1*DIGIT. What no int64 holds becomes the greatest: no representation reaches that far.
func parsePosition(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		if n > (math.MaxInt64-int64(d))/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + int64(d)
	}
	return n, true
}

// ParseContentRange reads a Content-Range field value of the unit bytes (RFC 9110 §14.4). total is -1 for "*". The unsatisfied
// form "bytes */10" has an empty span. ok is false for anything the grammar or its bounds don't allow.
func ParseContentRange(s string) (span Span, total int64, ok bool) {
	unit, rest, ok := strings.Cut(s, " ")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return Span{}, 0, false
	}
	positions, length, ok := strings.Cut(rest, "/")
	if !ok {
		return Span{}, 0, false
	}
	total = -1
	if length != "*" {
		if total, ok = exactPosition(length); !ok {
			return Span{}, 0, false
		}
	}
	if positions == "*" {
		return Span{First: 0, Last: -1}, total, total >= 0
	}
	a, b, _ := strings.Cut(positions, "-")
	first, okFirst := exactPosition(a)
	last, okLast := exactPosition(b)
	// §14.4: invalid when it ends before it begins or reaches beyond the complete length; such a field MUST NOT be used.
	if !okFirst || !okLast || last < first || total >= 0 && last >= total {
		return Span{}, 0, false
	}
	return Span{First: first, Last: last}, total, true
}

// exactPosition is parsePosition for positions that are believed: one that does not fit is an error.
func exactPosition(s string) (int64, bool) {
	n, ok := parsePosition(s)
	return n, ok && n < math.MaxInt64
}

// AppendContentRange appends the Content-Range field value for span of a representation of total bytes, < 0 when not known.
// An empty span gives the unsatisfied form of a 416 (RFC 9110 §14.4).
func AppendContentRange(dst []byte, span Span, total int64) []byte {
	dst = append(dst, "bytes "...)
	if span.Len() <= 0 {
		dst = append(dst, '*')
	} else {
		dst = strconv.AppendInt(dst, span.First, 10)
		dst = append(dst, '-')
		dst = strconv.AppendInt(dst, span.Last, 10)
	}
	dst = append(dst, '/')
	if total < 0 {
		return append(dst, '*')
	}
	return strconv.AppendInt(dst, total, 10)
}
