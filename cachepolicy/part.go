package cachepolicy

import "net/http"

// settlePart stores a 206, joins it to the stored part, or has the whole asked for (RFC 9111 §3.3, §3.4).
func (r *Rules) settlePart(q *Request, stored *Meta, a *Answer, chance float64) Verdict {
	p, ok := partOf(a)
	switch {
	case ok && combines(stored, a, p):
		return r.combine(q, stored, a, p, chance)
	case ok && answers(q, stored, p):
		return r.storePart(q, a, p, chance)
	case stored != nil:
		return Verdict{Effect: Refetch, Reason: ReasonMismatch}
	case !ok:
		return Verdict{Reason: ReasonContentRange}
	}
	return Verdict{Reason: ReasonUnrequested}
}

// part is what a 206 with one range holds.
type part struct {
	span  Span
	total int64
	short bool // its framing was complete, but it has fewer bytes than it says
}

// partOf reads a 206. ok is false for multipart/byteranges, which is not stored, and where Content-Range is missing, invalid or
// says less than the content has.
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

// combines reports whether the part may join what is stored: both share one strong validator (RFC 9111 §3.4).
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

// combine describes the union of what is stored and what has come.
func (r *Rules) combine(q *Request, stored *Meta, a *Answer, p part, chance float64) Verdict {
	v := r.freshen(q, stored, a, chance)
	if v.Effect != Freshen {
		return v
	}
	v.Effect, v.Reason = Combine, ReasonCombined
	delete(v.Header, "Content-Range") // what described one part describes neither the other nor both
	delete(v.Header, "Content-Length")
	v.Meta.Total = max(stored.Total, p.total)
	v.Meta.Spans = UnionSpans(stored.Spans, []Span{p.span})
	if whole := (Span{First: 0, Last: v.Meta.Total - 1}); CoversSpan(v.Meta.Spans, whole) {
		v.Meta.Spans, v.Meta.Status = nil, http.StatusOK // RFC 9111 §3.4: all of it is a complete response
	}
	return v
}

// answers reports whether the part is what the client asked for. Which bytes an origin sends for a Range is its own affair (RFC 9110
// §15.3.7), and whatever it says they are is passed on and stored. But where some bytes are held, only those that they lack may have
// been asked for: then a part that can't join them is not an answer unless it has all that the client wants.
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
func (r *Rules) storePart(q *Request, a *Answer, p part, chance float64) Verdict {
	c := r.control(a.Header)
	m, why := r.admit(q, a, &c, chance)
	if why != ReasonNone {
		return Verdict{Reason: why}
	}
	m.Spans, m.Total = []Span{p.span}, p.total
	if p.short {
		m.Flags |= FlagInconsistent
	}
	return Verdict{Effect: Store, Meta: m}
}
