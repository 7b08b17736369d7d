package cachepolicy

import (
	"math"
	"strconv"
	"strings"
)

// RangeKind says how a stored response answers a request's Range field.
type RangeKind uint8

const (
	Whole         RangeKind = iota // all stored bytes: the request has no Range, or the field must be ignored (RFC 9110 §14.2)
	Partial                        // a 206 with the spans of the plan
	Unsatisfiable                  // a 416 with "Content-Range: bytes */total" (RFC 9110 §15.5.17)
	Missing                        // the stored response can't answer, because it lacks bytes
)

// RangePlan says which bytes of a stored response to send.
type RangePlan struct {
	Kind  RangeKind
	Spans []Span // for Partial: positions in the representation, sorted and disjoint, for Content-Range
	// For Partial: the position of each of Spans in the stored body, which is the concatenation of
	// the stored spans.
	Offsets []Span
}

// maxRanges bounds the ranges of one request. A longer list is expensive and useless, and so is one
// in which more than maxOverlaps ranges overlap others. RFC 9110 §14.2 allows ignoring such a
// field, so the cache sends the whole representation.
const (
	maxRanges   = 16
	maxOverlaps = 2
)

// PlanRange decides how the stored response m answers the request's Range and If-Range fields (RFC
// 9110 §14.2, RFC 9111 §3.3). It relies on the spans in m. A caller that slices the stored body
// must call PlanBody.
func PlanRange(q *Request, m *Meta) RangePlan {
	return PlanBody(q, m, declaredLength(m))
}

// PlanBody is PlanRange for a caller that has the stored body, which is held bytes long. The plan
// never exceeds the body.
func PlanBody(q *Request, m *Meta, held int64) RangePlan {
	line, wanted := rangeLine(q, m)
	switch {
	case m.Complete():
		if !wanted || m.Status != 200 {
			return RangePlan{Kind: Whole} // RFC 9110 §14.2: only if the answer would be a 200
		}
		return planComplete(line, m.Total, held)
	case !wanted:
		return RangePlan{Kind: Missing}
	case m.Flags&FlagInconsistent != 0:
		return planReplay(line, m, held)
	}
	return planPartial(line, m, held)
}

// rangeLine returns the value of the Range field, and whether the request asks for a part.
func rangeLine(q *Request, m *Meta) (string, bool) {
	lines := q.Header["Range"]
	// RFC 9110 §14.2 defines Range for GET only. It is not a list field, so two lines count like a
	// malformed one.
	if q.Method != "GET" || len(lines) != 1 {
		return "", false
	}
	return lines[0], ifRangeHolds(q, m)
}

// declaredLength returns the length of the stored body according to m, or -1 if m does not tell it.
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
		total = held // the response had no length on arrival, but the stored body has one
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
		return RangePlan{Kind: Missing} // the client wants all bytes, or the range depends on the unknown total
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

// ParseRange reads a Range field value for a representation of total bytes (RFC 9110 §14.1.2,
// §14.2). For Partial, spans is sorted, disjoint and within total. Whole means that the field must
// be ignored, because it has another unit, or is malformed or abusive. If total is negative, which
// means unknown, ParseRange understands only explicit ranges, and a list with any other range is
// Whole.
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

// overlaps counts the spans that share bytes with an earlier one in the list.
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

// rangeSpec is one member of a Range list. If first < 0, it is a suffix of length last. If last <
// 0, it extends to the end.
type rangeSpec struct{ first, last int64 }

// resolve returns the span that the spec means. Whole means that the spec has no meaning for this
// total.
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
		return Span{}, Whole // §14.1.2: satisfiable, but a Content-Range can't express "no bytes"
	case r.first < 0:
		return Span{max(0, total-r.last), total - 1}, Partial
	case r.first >= total:
		return Span{}, Unsatisfiable
	case r.last < 0:
		return Span{r.first, total - 1}, Partial
	}
	return Span{r.first, min(r.last, total-1)}, Partial
}

// parseRangeSpecs splits a Range field value of the unit bytes. One malformed member makes the
// whole field invalid.
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

// parsePosition reads 1*DIGIT. A number that exceeds an int64 becomes the largest int64, since no
// representation is that long.
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

// ParseContentRange reads a Content-Range field value of the unit bytes (RFC 9110 §14.4). total is
// -1 for "*". The unsatisfied form "bytes */10" has an empty span. ok is false if the value breaks
// the grammar or its bounds.
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
	// §14.4: the field is invalid if the range ends before it begins or exceeds the complete
	// length, and then it MUST NOT be used.
	if !okFirst || !okLast || last < first || total >= 0 && last >= total {
		return Span{}, 0, false
	}
	return Span{First: first, Last: last}, total, true
}

// exactPosition is parsePosition for positions that the cache relies on. It reports false if the
// number does not fit.
func exactPosition(s string) (int64, bool) {
	n, ok := parsePosition(s)
	return n, ok && n < math.MaxInt64
}

// AppendContentRange appends the Content-Range field value for span of a representation of total
// bytes. A negative total means unknown. An empty span gives the unsatisfied form of a 416 (RFC
// 9110 §14.4).
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
