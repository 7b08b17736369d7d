package cachepolicy

import (
	"net/http"
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
			v.Meta.Total = contentLength(a.Header)
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
	if d, _ := explicitLifetime(a.Header, c, a.Received); d <= 0 {
		return false
	}
	scheme, host, path, query, ok := CanonicalURL(q, location[0])
	return ok && scheme == q.Scheme && host == q.Host && path == q.Path && query == q.RawQuery
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
