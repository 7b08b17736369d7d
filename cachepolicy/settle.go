package cachepolicy

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// disconnectedWindow is how long after its lifetime a response may be served while the origin can't be reached and nobody has named
// a window. RFC 9111 §4.2.4 sets no bound; a day outlives a bad night, and nobody wonders next week where an old page came from.
const disconnectedWindow = 24 * time.Hour

// Settle answers what the origin's answer a to q changes: whether it is stored, what becomes of stored, the response that was being
// validated, completed or replaced (nil: none), and what else has become stale. chance, in [0, 1), is the share of the jitter that
// applies. Seq of a Verdict's Meta is for the caller to set.
func (r *Rules) Settle(q *Request, stored *Meta, a *Answer, now time.Time, chance float64) Verdict {
	switch {
	case a.Failure != FailureNone:
		return r.settleFailure(q, stored, a, now)
	case !r.Enabled:
		return Verdict{Reason: ReasonDisabled, InvalidateSelf: Invalidates(q, a), Invalidate: InvalidatedURLs(q, a)}
	case q.Method != http.MethodGet && q.Method != http.MethodHead:
		return r.settleOther(q, a, chance)
	case r.keepsAway(q) != ReasonNone:
		return Verdict{Reason: r.keepsAway(q)}
	case stored != nil && isOriginError(a.Status) && stored.Status < 500 && r.mayKeep(q, stored, now, false):
		return Verdict{Effect: KeepStale, Reason: ReasonOriginError}
	case a.Status == http.StatusNotModified:
		return r.settleNotModified(q, stored, a, chance)
	case q.Method == http.MethodHead:
		return r.settleHead(q, stored, a, chance)
	case a.Status == http.StatusPartialContent:
		return r.settlePart(q, stored, a, chance)
	}
	return r.settleWhole(q, stored, a, chance)
}

// settleFailure keeps a stale response where the origin could not be asked (RFC 9111 §4.2.4, RFC 5861 §4).
func (r *Rules) settleFailure(q *Request, stored *Meta, a *Answer, now time.Time) Verdict {
	v := Verdict{Reason: failureReason(a.Failure)}
	safe := q.Method == http.MethodGet || q.Method == http.MethodHead
	if safe && stored != nil && r.mayKeep(q, stored, now, true) {
		v.Effect = KeepStale
	}
	return v
}

func failureReason(f Failure) Reason {
	switch f {
	case FailureTimeout:
		return ReasonTimeout
	case FailureInvalid:
		return ReasonInvalidResponse
	case FailureOverload:
		return ReasonOverload
	}
	return ReasonUnreachable
}

// isOriginError reports the statuses that count as an error for stale-if-error (RFC 5861 §4).
func isOriginError(status int) bool {
	switch status {
	case 500, 502, 503, 504:
		return true
	}
	return false
}

// mayKeep reports whether stored may be served in place of an error. disconnected: the origin gave no answer at all, which RFC 9111
// §4.2.4 takes for a permission where nothing forbids it; an error status needs a window that somebody named.
func (r *Rules) mayKeep(q *Request, stored *Meta, now time.Time, disconnected bool) bool {
	if stored.Flags&FlagNoCache != 0 || !holds(q, stored) {
		return false
	}
	window := stored.StaleError
	if stored.Flags&FlagMustRevalidate == 0 && window != noStaleError {
		if disconnected && window == 0 {
			window = disconnectedWindow
		}
		cc := r.requestControl(q)
		window = max(window, cc.staleError)
	}
	return stored.Age(now)-stored.Lifetime < window
}

// settleOther is for methods that are neither GET nor HEAD: what is stored may have become stale (RFC 9111 §4.4), and the response to
// a POST may be what a GET would bring.
func (r *Rules) settleOther(q *Request, a *Answer, chance float64) Verdict {
	v := Verdict{Reason: ReasonMethod, InvalidateSelf: Invalidates(q, a), Invalidate: InvalidatedURLs(q, a)}
	if c := r.control(a.Header); isGetOfPost(q, a, &c) && r.refusal(q, a.Status, a.Header, &c) == ReasonNone {
		if vary, ok := r.MakeVary(q, a.Header); ok {
			v.Effect, v.Reason = Store, ReasonContentLocation
			v.Meta = r.describe(a, a.Status, a.Header, &c, vary, chance)
			v.Meta.Flags |= r.authorized(q)
		}
	}
	return v
}

// isGetOfPost reports whether a successful POST says that its response is the representation of its target, with a lifetime of its
// own (RFC 9111 §3, RFC 9110 §9.3.3).
func isGetOfPost(q *Request, a *Answer, c *control) bool {
	location := a.Header["Content-Location"]
	if q.Method != http.MethodPost || a.Status != http.StatusOK || len(location) != 1 {
		return false
	}
	if d, ok := explicitLifetime(a.Header, c, a.Received); !ok || d <= 0 {
		return false
	}
	scheme, host, path, query, ok := CanonicalURL(q, location[0])
	return ok && scheme == q.Scheme && host == q.Host && path == q.Path && query == q.RawQuery
}

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

// freshen gives stored the fields and the life that the update says (RFC 9111 §3.2).
func (r *Rules) freshen(q *Request, stored *Meta, a *Answer, chance float64) Verdict {
	h := FreshenHeader(a.Stored, a.Header)
	c := r.control(h)
	vary, reusable := r.MakeVary(q, h)
	if c.any(hasNoStore|hasPrivate) || !reusable {
		// What is stored may no longer be: only the whole response can tell what to make of it.
		return Verdict{Effect: Refetch, Reason: ReasonNoStore}
	}
	m := r.describe(a, stored.Status, h, &c, vary, chance)
	m.Flags |= stored.Flags & (FlagAuthorized | FlagInconsistent)
	m.ETag, m.Total, m.Spans = stored.ETag, stored.Total, stored.Spans
	if m.LastModified.IsZero() {
		m.LastModified = stored.LastModified
	}
	return Verdict{Effect: Freshen, Reason: ReasonValidated, Meta: m}
}

// validates reports whether a 304 speaks of stored (RFC 9111 §4.3.4): its strong validator is the stored one, else its weak one is,
// else it has none. In the last case the RFC wants a stored response without validator; but many origins leave them out, though they
// must not (RFC 9110 §15.4.5), and the condition they have just called false named this one response.
func validates(stored *Meta, a *Answer) bool {
	tag := entityTag(a.Header)
	if tag != "" && (stored.ETag != "" || isStrong(tag) && !sameDate(stored, a)) {
		if isStrong(tag) && isStrong(stored.ETag) {
			return tag == stored.ETag
		}
		return weakMatch(tag, stored.ETag)
	}
	return len(a.Header["Last-Modified"]) == 0 || sameDate(stored, a)
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
	if v.Effect != Freshen {
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

// settleWhole stores a response that is not a part, if it may be stored at all (RFC 9111 §3).
func (r *Rules) settleWhole(q *Request, stored *Meta, a *Answer, chance float64) Verdict {
	c := r.control(a.Header)
	m, why := r.admit(q, a, &c, chance)
	if why == ReasonNone {
		m.Total = contentLength(a.Header)
		return Verdict{Effect: Store, Meta: m}
	}
	if stored != nil && supersedes(why, a.Status) {
		return Verdict{Effect: Drop, Reason: why}
	}
	return Verdict{Reason: why}
}

// admit applies all conditions of RFC 9111 §3 and describes the response.
func (r *Rules) admit(q *Request, a *Answer, c *control, chance float64) (m Meta, why Reason) {
	if why = r.refusal(q, a.Status, a.Header, c); why != ReasonNone {
		return m, why
	}
	if why = r.statusRefusal(a.Status, a.Header, c); why != ReasonNone {
		return m, why
	}
	vary, reusable := r.MakeVary(q, a.Header)
	if !reusable {
		return m, ReasonVaryAny
	}
	m = r.describe(a, a.Status, a.Header, c, vary, chance)
	m.Flags |= r.authorized(q)
	return m, isUseless(&m)
}

// supersedes reports whether a response that is not stored shows that what is stored is not what the origin has now. One that is not
// stored because of its request, or of who asked, shows nothing, nor does an error.
func supersedes(why Reason, status int) bool {
	switch why {
	case ReasonNoStore, ReasonPrivate, ReasonVaryAny, ReasonNotUnderstood, ReasonNoCache, ReasonNoFreshness, ReasonStatus:
		return status < 400 || status == http.StatusNotFound || status == http.StatusGone
	}
	return false
}

// settlePart stores a 206, joins it to the stored part, or has the whole asked for (RFC 9111 §3.3, §3.4).
func (r *Rules) settlePart(q *Request, stored *Meta, a *Answer, chance float64) Verdict {
	p, ok := partOf(a)
	switch {
	case ok && combines(stored, a, p):
		return r.combine(q, stored, a, p, chance)
	case ok && answers(q):
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
	v.Meta.Total = max(stored.Total, p.total)
	v.Meta.Spans = UnionSpans(stored.Spans, []Span{p.span})
	if whole := (Span{First: 0, Last: v.Meta.Total - 1}); CoversSpan(v.Meta.Spans, whole) {
		v.Meta.Spans, v.Meta.Status = nil, http.StatusOK // RFC 9111 §3.4: all of it is a complete response
	}
	return v
}

// answers reports whether a part was asked for at all. Which bytes it has is what its Content-Range says, whatever the request wanted
// (RFC 9110 §15.3.7): a part that is not the one asked for is passed on and stored as the part that it is.
func answers(q *Request) bool { return len(q.Header["Range"]) == 1 }

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

// describe collects the facts of a response with the given status and fields that came, or was last validated, with a.
func (r *Rules) describe(a *Answer, status int, h http.Header, c *control, vary Vary, chance float64) Meta {
	age := initialAge(a)
	if r.IgnoreOrigin {
		age = max(0, a.Received.Sub(a.Sent)) // the rules' lifetime counts from here, not from some cache before us
	}
	lifetime, by := r.lifetime(status, h, c, a.Received)
	m := Meta{
		Status: status, Flags: c.flags(), Vary: vary, Total: -1,
		Born: a.Received.Add(-age), Received: a.Received, Date: dateOf(h, a.Received),
		Lifetime: r.jitter(lifetime, chance), FillTime: max(0, a.Received.Sub(a.Sent)),
		ETag: entityTag(h), LastModified: lastModified(h, a.Received),
		Language: strings.ToLower(trimOWS(h.Get("Content-Language"))),
	}
	if by == fromGuess {
		m.Flags |= FlagHeuristic
	}
	m.StaleRevalid, m.StaleError = r.windows(c)
	return m
}

// flags are the directives that decide about reuse.
func (c *control) flags() (f Flags) {
	if c.any(hasMustRevalidate | hasProxyRevalidate | hasSMaxAge) {
		f |= FlagMustRevalidate
	}
	if c.any(hasNoCache) {
		f |= FlagNoCache
	}
	if c.any(hasImmutable) {
		f |= FlagImmutable
	}
	return f
}

// authorized marks what was stored by leave of RFC 9111 §3.5.
func (r *Rules) authorized(q *Request) Flags {
	if len(q.Header["Authorization"]) > 0 && r.Authorization == AuthorizationRFC {
		return FlagAuthorized
	}
	return 0
}

// entityTag is the ETag field as received. Two of them are none: nobody knows which is meant.
func entityTag(h http.Header) string {
	if lines := h["Etag"]; len(lines) == 1 {
		return trimOWS(lines[0])
	}
	return ""
}

// contentLength is the Content-Length field, -1 when there is none that is valid.
func contentLength(h http.Header) int64 {
	lines := h["Content-Length"]
	if len(lines) == 0 || slices.ContainsFunc(lines, func(s string) bool { return s != lines[0] }) {
		return -1
	}
	n, err := strconv.ParseInt(lines[0], 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}
