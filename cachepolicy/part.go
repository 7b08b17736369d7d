package cachepolicy

import (
	"net/http"
	"time"
)

// settlePart decides about a 206. It stores the part, joins it to the stored part, or asks for the
// whole response (RFC 9111 §3.3, §3.4).
func (r *Rules) settlePart(q *Request, stored *Meta, a *Answer, now time.Time, chance float64) Verdict {
	p, ok := partOf(a)
	switch {
	case ok && combines(stored, a, p):
		return r.combine(q, stored, a, p, chance)
	case ok && answers(q, stored, p):
		return r.storePart(q, stored, a, p, now, chance)
	case stored != nil:
		return Verdict{Effect: Refetch, Reason: ReasonMismatch}
	case !ok:
		return Verdict{Reason: ReasonContentRange}
	}
	return Verdict{Reason: ReasonUnrequested}
}

// part describes the content of a 206 with one range.
type part struct {
	span  Span
	total int64
	short bool // the response is complete, but it has fewer bytes than Content-Range says
}

// partOf reads a 206. ok is false for multipart/byteranges, which the cache does not store, and if
// Content-Range is missing or invalid, or covers fewer bytes than the content has.
func partOf(a *Answer) (p part, ok bool) {
	lines := a.Header["Content-Range"]
	if len(lines) != 1 {
		return p, false
	}
	if p.span, p.total, ok = ParseContentRange(lines[0]); !ok || p.span.Len() <= 0 {
		return p, false
	}
	n := contentLength(a.Header)
	p.short = n >= 0 && n < p.span.Len()
	return p, n != 0 && n <= p.span.Len()
}

// combines reports whether the part may join the stored part. Both must share one strong validator
// (RFC 9111 §3.4).
func combines(stored *Meta, a *Answer, p part) bool {
	switch {
	case stored == nil || stored.Complete() || stored.Flags&FlagInconsistent != 0 || p.short:
		return false
	case stored.Total >= 0 && p.total >= 0 && stored.Total != p.total:
		return false
	}
	if tag := entityTag(a.Header); tag != "" || stored.ETag != "" {
		return strongMatch(tag, stored.ETag)
	}
	fresh := Meta{LastModified: lastModified(a.Header, a.Received), Date: dateOf(a.Header, a.Received)}
	return sameDate(stored, a) && strongDate(stored) && strongDate(&fresh)
}

// combine describes the union of the stored part and the received part.
func (r *Rules) combine(q *Request, stored *Meta, a *Answer, p part, chance float64) Verdict {
	v := r.freshen(q, stored, a, chance)
	if v.Effect != Freshen {
		return v
	}
	v.Effect, v.Reason = Combine, ReasonCombined
	delete(v.Header, "Content-Range") // it describes one part, and neither the stored part nor the union
	delete(v.Header, "Content-Length")
	v.Meta.Total = max(stored.Total, p.total)
	v.Meta.Spans = UnionSpans(stored.Spans, []Span{p.span})
	if whole := (Span{First: 0, Last: v.Meta.Total - 1}); CoversSpan(v.Meta.Spans, whole) {
		v.Meta.Spans, v.Meta.Status = nil, http.StatusOK // RFC 9111 §3.4: all bytes together are a complete response
	}
	return v
}

// answers reports whether the part answers q. The origin chooses the bytes that it sends for a
// Range (RFC 9110 §15.3.7), so the cache passes them on and stores them, whatever they are. But if
// a part was stored, the cache may have asked only for the missing bytes. Then a part that can't
// join the stored one is an answer only if it has all bytes that the client wants.
func answers(q *Request, stored *Meta, p part) bool {
	lines := q.Header["Range"]
	if len(lines) != 1 || stored == nil || stored.Complete() {
		return len(lines) == 1
	}
	spans, kind := ParseRange(lines[0], p.total)
	for _, s := range spans {
		if !CoversSpan([]Span{p.span}, s) {
			return false
		}
	}
	return kind == Partial
}

// storePart stores a 206 on its own (RFC 9111 §3.3).
func (r *Rules) storePart(q *Request, stored *Meta, a *Answer, p part, now time.Time, chance float64) Verdict {
	c := r.control(a.Header)
	m, why := r.admit(q, a, &c, chance)
	if why != ReasonNone {
		return r.refuse(q, stored, a, why, now)
	}
	m.Spans, m.Total = []Span{p.span}, p.total
	if p.short {
		m.Flags |= FlagInconsistent
	}
	return Verdict{Effect: Store, Meta: m}
}
