package cachepolicy

import (
	"net/http"
	"time"
)

// settleNotModified decides about a 304 (RFC 9111 §4.3.3, §4.3.4).
func (r *Rules) settleNotModified(q *Request, stored *Meta, a *Answer, chance float64) Verdict {
	if stored == nil || !stored.hasValidator() {
		return settleUnrequested(q, stored)
	}
	if !validates(stored, a) {
		return Verdict{Effect: Refetch, Reason: ReasonMismatch}
	}
	return r.freshen(q, stored, a, chance)
}

// settleUnrequested decides about a 304 that no stored response can have caused. It answers the client's own
// condition, or it is unrequested.
func settleUnrequested(q *Request, stored *Meta) Verdict {
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

// freshen updates stored with the fields and the lifetime of the answer (RFC 9111 §3.2). The rules
// that rewrite Cache-Control see the fields of both, as they would see the fields of a whole
// response.
func (r *Rules) freshen(q *Request, stored *Meta, a *Answer, chance float64) Verdict {
	if a.Stored == nil {
		return Verdict{Effect: Refetch, Reason: ReasonMismatch} // without the stored fields, above all Vary, the updated response is unknown
	}
	h := FreshenHeader(a.Stored, a.Header)
	r.ApplyCacheControl(q, stored.Status, h)
	c := r.control(h)
	vary, reusable := r.variant(q, stored.Status, h)
	// The stored response may no longer be storable. Then the cache needs the whole response to
	// decide.
	switch {
	case c.any(hasNoStore):
		return Verdict{Effect: Refetch, Reason: ReasonNoStore}
	case c.any(hasPrivate):
		return Verdict{Effect: Refetch, Reason: ReasonPrivate}
	case !reusable:
		return Verdict{Effect: Refetch, Reason: ReasonVaryAny}
	}
	m := r.describe(a, stored.Status, h, &c, vary, chance)
	if !r.Shares(q, &m) {
		return Verdict{Effect: Refetch, Reason: ReasonCookie}
	}
	m.Flags |= stored.Flags & (FlagAuthorized | FlagInconsistent)
	m.ETag, m.Total, m.Spans = stored.ETag, stored.Total, stored.Spans
	if m.LastModified.IsZero() {
		m.LastModified = stored.LastModified
	}
	r.StripUnstorable(h)
	return Verdict{Effect: Freshen, Reason: ReasonValidated, Meta: m, Header: h}
}

// validates reports whether a 304 confirms stored (RFC 9111 §4.3.4): it has the same validator, or
// none.
//
// Tags are compared weakly, even a strong one with a weak one. The request named only the stored
// tag, and an origin compares it weakly (RFC 9110 §13.1.2): a server that weakens the tag of
// compressed responses, such as nginx, sends the strong tag with its 304.
//
// For a 304 without validators the RFC requires a stored response without any. But many origins
// omit them, although RFC 9110 §15.4.5 forbids that, and the condition that just failed named this
// one response.
func validates(stored *Meta, a *Answer) bool {
	tag := entityTag(a.Header)
	switch {
	case tag != "" && stored.ETag != "":
		return weakMatch(tag, stored.ETag)
	case isStrong(tag):
		return sameDate(stored, a) && strongDate(stored)
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

// settleHead updates the stored GET response with a 200 to HEAD, or removes it if the two don't fit
// (RFC 9111 §4.3.5).
func (r *Rules) settleHead(q *Request, stored *Meta, a *Answer, now time.Time, chance float64) Verdict {
	if stored == nil || a.Status != http.StatusOK {
		return Verdict{Reason: ReasonHead} // origins without HEAD refuse it for resources that exist for GET
	}
	c := r.control(a.Header)
	switch why := r.refusal(q, a.Status, a.Header, &c); why {
	case ReasonNone:
	case ReasonNoStore, ReasonPrivate:
		return r.refuse(q, stored, a, why, now)
	default:
		return Verdict{Reason: why}
	}
	if !fits(stored, a) {
		return r.refuse(q, stored, a, ReasonMismatch, now)
	}
	v := r.freshen(q, stored, a, chance)
	if v.Effect == Refetch {
		return r.refuse(q, stored, a, v.Reason, now) // asking again is pointless, since the client already has its answer
	}
	return v
}

// fits reports whether the fields of a response to HEAD may belong to stored. Every validator that
// it has, and its Content-Length, must equal the stored one.
func fits(stored *Meta, a *Answer) bool {
	if stored.Flags&FlagSubstitute != 0 {
		return false
	}
	if stored.Status != http.StatusOK && stored.Status != http.StatusPartialContent {
		return false
	}
	if tag := entityTag(a.Header); tag != "" && !weakMatch(tag, stored.ETag) {
		return false
	}
	if len(a.Header["Last-Modified"]) > 0 && !sameDate(stored, a) {
		return false
	}
	n := contentLength(a.Header)
	return n < 0 || n == stored.Total
}
