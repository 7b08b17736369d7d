package cachepolicy

import (
	"net/http"
	"time"
)

// disconnectedWindow is the time after its lifetime for which a response may be served if the
// origin is unreachable and neither the origin nor the operator set a window. RFC 9111 §4.2.4 sets
// no bound. One day covers an outage overnight, and no client sees a page from last week.
const disconnectedWindow = 24 * time.Hour

// Settle decides how the origin's answer a to q changes the store: whether a is stored, whether the
// stored response changes, and which other responses become stale. stored is the response that was
// validated, completed or replaced, or nil. chance, in [0, 1), is the share of the jitter that
// applies. The caller sets Seq in the Verdict's Meta.
func (r *Rules) Settle(q *Request, stored *Meta, a *Answer, now time.Time, chance float64) Verdict {
	if stored != nil && !r.Shares(q, stored) {
		stored = nil // Decide did not let q see it either
	}
	switch {
	case a.Failure != FailureNone:
		return r.settleFailure(q, stored, a, now)
	case !r.Enabled:
		return Verdict{Reason: ReasonDisabled, InvalidateSelf: Invalidates(q, a), Invalidate: InvalidatedURLs(q, a)}
	case q.Method != http.MethodGet && q.Method != http.MethodHead:
		return r.settleOther(q, a, chance)
	case r.bypassReason(q) != ReasonNone:
		return Verdict{Reason: r.bypassReason(q)}
	case stored != nil && isOriginError(a.Status) && stored.Status < 500 && r.mayKeep(q, stored, now, false):
		return Verdict{Effect: KeepStale, Reason: ReasonOriginError}
	case a.Status == http.StatusNotModified:
		return r.settleNotModified(q, stored, a, chance)
	case q.Method == http.MethodHead:
		return r.settleHead(q, stored, a, now, chance)
	case a.Status == http.StatusPartialContent:
		return r.settlePart(q, stored, a, now, chance)
	}
	return r.settleWhole(q, stored, a, now, chance)
}

// settleFailure decides whether a stale response may be served because the origin did not answer
// (RFC 9111 §4.2.4, RFC 5861 §4).
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

// isOriginError reports whether the status counts as an error for stale-if-error (RFC 5861 §4).
func isOriginError(status int) bool {
	switch status {
	case 500, 502, 503, 504:
		return true
	}
	return false
}

// mayKeep reports whether stored may be served in place of an error. disconnected is true if the
// origin gave no answer at all. RFC 9111 §4.2.4 then permits a stale response unless a directive
// forbids it. An error status needs an explicit window.
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

// settleOther decides about answers to methods other than GET and HEAD. The answer may invalidate
// stored responses (RFC 9111 §4.4), and the response to a POST may represent the target for GET.
func (r *Rules) settleOther(q *Request, a *Answer, chance float64) Verdict {
	v := Verdict{Reason: ReasonMethod, InvalidateSelf: Invalidates(q, a), Invalidate: InvalidatedURLs(q, a)}
	if c := r.control(a.Header); isGetOfPost(q, a, &c) && r.refusal(q, a.Status, a.Header, &c) == ReasonNone {
		if vary, ok := r.variant(q, a.Status, a.Header); ok {
			v.Effect, v.Reason = Store, ReasonContentLocation
			v.Meta = r.describe(a, a.Status, a.Header, &c, vary, chance)
			v.Meta.Flags |= r.authorized(q)
			v.Meta.Total = contentLength(a.Header)
		}
	}
	return v
}

// isGetOfPost reports whether a successful POST says that its response is the representation of its
// target, with an explicit lifetime (RFC 9111 §3, RFC 9110 §9.3.3).
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

// settleWhole stores a response that is not a part, if RFC 9111 §3 allows it.
func (r *Rules) settleWhole(q *Request, stored *Meta, a *Answer, now time.Time, chance float64) Verdict {
	c := r.control(a.Header)
	m, why := r.admit(q, a, &c, chance)
	if why == ReasonNone {
		m.Total = contentLength(a.Header)
		return Verdict{Effect: Store, Meta: m}
	}
	return r.refuse(q, stored, a, why, now)
}

// refuse stores nothing. It removes stored if the answer supersedes it.
func (r *Rules) refuse(q *Request, stored *Meta, a *Answer, why Reason, now time.Time) Verdict {
	if stored != nil && r.Supersedes(q, stored, a.Status, why, now) {
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
	vary, reusable := r.variant(q, a.Status, a.Header)
	if !reusable {
		return m, ReasonVaryAny
	}
	m = r.describe(a, a.Status, a.Header, c, vary, chance)
	m.Flags |= r.authorized(q)
	if why = isUseless(&m); why == ReasonNone && !r.Shares(q, &m) {
		why = ReasonCookie
	}
	return m, why
}
