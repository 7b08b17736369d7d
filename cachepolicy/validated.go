package cachepolicy

import "net/http"

// settleNotModified takes a 304 for what it validates (RFC 9111 §4.3.3, §4.3.4).
func (r *Rules) settleNotModified(q *Request, stored *Meta, a *Answer, chance float64) Verdict {
	if stored == nil || !stored.hasValidator() {
		return notOurs(q, stored)
	}
	if !validates(stored, a) {
		return Verdict{Effect: Refetch, Reason: ReasonMismatch}
	}
	return r.freshen(q, stored, a, chance)
}

// notOurs is for a 304 that nothing stored can have asked for: it answers the client's own condition, or nobody's.
func notOurs(q *Request, stored *Meta) Verdict {
	for _, name := range [...]string{"If-None-Match", "If-Modified-Since"} {
		if len(q.Header[name]) > 0 {
			return Verdict{Reason: ReasonNone}
		}
	}
	if stored == nil {
		return Verdict{Reason: ReasonUnrequested}
	}
	return Verdict{Effect: Refetch, Reason: ReasonUnrequested}
}

// freshen gives stored the fields and the life that the update says (RFC 9111 §3.2). The rules that rewrite Cache-Control see the
// fields of both, as they would have seen those of a whole response.
func (r *Rules) freshen(q *Request, stored *Meta, a *Answer, chance float64) Verdict {
	if a.Stored == nil {
		return Verdict{Effect: Refetch, Reason: ReasonMismatch} // without its fields, above all Vary, it can't be told what lives on
	}
	h := FreshenHeader(a.Stored, a.Header)
	r.ApplyCacheControl(q, stored.Status, h)
	c := r.control(h)
	vary, reusable := r.MakeVary(q, h)
	// What is stored may no longer be: only the whole response can tell what to make of it.
	switch {
	case c.any(hasNoStore):
		return Verdict{Effect: Refetch, Reason: ReasonNoStore}
	case c.any(hasPrivate):
		return Verdict{Effect: Refetch, Reason: ReasonPrivate}
	case !reusable:
		return Verdict{Effect: Refetch, Reason: ReasonVaryAny}
	}
	m := r.describe(a, stored.Status, h, &c, vary, chance)
	m.Flags |= stored.Flags & (FlagAuthorized | FlagInconsistent)
	m.ETag, m.Total, m.Spans = stored.ETag, stored.Total, stored.Spans
	if m.LastModified.IsZero() {
		m.LastModified = stored.LastModified
	}
	r.StripUnstorable(h)
	return Verdict{Effect: Freshen, Reason: ReasonValidated, Meta: m, Header: h}
}

// validates reports whether a 304 speaks of stored (RFC 9111 §4.3.4): it has the same strong validator, or no strong one and the same
// weak one, or none. In the last case the RFC wants a stored response without validator; but many origins leave them out, though they
// must not (RFC 9110 §15.4.5), and the condition they have just called false named this one response.
func validates(stored *Meta, a *Answer) bool {
	tag := entityTag(a.Header)
	switch {
	case isStrong(tag) && stored.ETag == "":
		return sameDate(stored, a) && strongDate(stored)
	case isStrong(tag):
		return tag == stored.ETag
	case tag != "" && stored.ETag != "":
		return weakMatch(tag, stored.ETag)
	case tag != "" || len(a.Header["Last-Modified"]) > 0:
		return sameDate(stored, a)
	}
	return true
}

// sameDate reports whether the answer has the Last-Modified of stored.
func sameDate(stored *Meta, a *Answer) bool {
	modified := lastModified(a.Header, a.Received)
	return !modified.IsZero() && modified.Equal(stored.LastModified)
}

// settleHead updates what GET has stored with a 200 to HEAD, or drops it when the two don't fit (RFC 9111 §4.3.5).
func (r *Rules) settleHead(q *Request, stored *Meta, a *Answer, chance float64) Verdict {
	if stored == nil || a.Status != http.StatusOK {
		return Verdict{Reason: ReasonHead}
	}
	c := r.control(a.Header)
	switch why := r.refusal(q, a.Status, a.Header, &c); why {
	case ReasonNone:
	case ReasonNoStore, ReasonPrivate:
		return Verdict{Effect: Drop, Reason: why}
	default:
		return Verdict{Reason: why}
	}
	if !fits(stored, a) {
		return Verdict{Effect: Drop, Reason: ReasonMismatch}
	}
	v := r.freshen(q, stored, a, chance)
	if v.Effect == Refetch {
		v.Effect = Drop // there is nothing to ask again for: the client has its answer
	}
	return v
}

// fits reports whether the fields of a response to HEAD may be those of stored: every validator it has is the stored one, and so is
// its Content-Length.
func fits(stored *Meta, a *Answer) bool {
	if stored.Status != http.StatusOK && stored.Status != http.StatusPartialContent {
		return false
	}
	if tag := entityTag(a.Header); tag != "" && tag != stored.ETag {
		return false
	}
	if len(a.Header["Last-Modified"]) > 0 && !sameDate(stored, a) {
		return false
	}
	n := contentLength(a.Header)
	return n < 0 || n == stored.Total
}
