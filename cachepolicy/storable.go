package cachepolicy

import (
	"net/http"
	"slices"
)

// understood lists the final statuses whose caching requirements this cache implements (RFC 9111
// §5.2.2.3, RFC 9110 §15).
var understood = []int{
	200, 201, 202, 203, 204, 205, 206,
	300, 301, 302, 303, 304, 305, 307, 308,
	400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 426, 428, 429, 431, 451,
	500, 501, 502, 503, 504, 505, 511,
}

// heuristic lists the statuses that a cache may store without explicit permission of the origin
// (RFC 9110 §15.1). It omits 405, 414 and 501: a request's own method, length or fields can cause
// them, so one client could replace a page for all clients (see provoked).
var heuristic = []int{200, 203, 204, 206, 300, 301, 308, 404, 410}

// provoked lists the errors that a request can cause by its own fields, which no key covers. The
// cache stores them only if the origin or the rules allow it explicitly. The same holds for every
// 5xx status.
var provoked = []int{400, 405, 406, 413, 414, 416, 431}

// forbidden lists the statuses whose responses MUST NOT be stored, whatever their fields say (RFC
// 6585 §3 to §6). The cache stores one only if the rules name its status.
var forbidden = []int{428, 429, 431, 511}

// conditional lists the statuses that answer fields which Vary never names: conditions, Range and
// Expect. They would be wrong under the key of the plain GET.
var conditional = []int{304, 412, 416, 417}

func isProvoked(status int) bool { return status >= 500 || slices.Contains(provoked, status) }

// mayGuess reports whether the cache may assume a lifetime if the origin sends no lifetime. It may
// if the status is heuristically cacheable or the response is marked public (RFC 9111 §4.2.2).
func mayGuess(status int, c *control) bool {
	return c.any(hasPublic) || slices.Contains(heuristic, status)
}

// refusal returns the reason why a shared cache must not store a response with the fields h,
// whatever its status and lifetime, or ReasonNone. It checks the conditions of RFC 9111 §3 that
// concern the request and the directives. With IgnoreOrigin, c has no directives, so private and
// no-store don't count. The modes of the rules that keep one user's response from other users still
// do.
func (r *Rules) refusal(q *Request, status int, h http.Header, c *control) Reason {
	isUnderstood := slices.Contains(understood, status)
	switch {
	case status < 200:
		return ReasonInterim // §3: "the response status code is final"
	case c.any(hasMustUnderstand) && !isUnderstood:
		return ReasonNotUnderstood // §3: "… and the cache understands the response status code"
	case c.any(hasNoStore) && !c.any(hasMustUnderstand):
		return ReasonNoStore // §3: "the no-store cache directive is not present"; §5.2.2.3: must-understand overrides it
	case c.any(hasPrivate):
		return ReasonPrivate // §3: "if the cache is shared: the private response directive is not present"
	case isEndless(h):
		return ReasonEndless
	case !r.mayShare(q, c):
		return ReasonAuthorization
	case r.refusesCookies(h, c):
		return ReasonSetCookie
	}
	if cc := r.requestControl(q); cc.any(hasNoStore) {
		return ReasonRequestNoStore // §5.2.1.5
	}
	return ReasonNone
}

// mayShare applies RFC 9111 §3.5: a response to a request with Authorization may be stored if a
// directive allows it. With AuthorizationKey it needs no permission, since only requests with the
// same Authorization can reach the response.
func (r *Rules) mayShare(q *Request, c *control) bool {
	if !q.HasAuthorization() || r.Authorization == AuthorizationKey {
		return true
	}
	return r.Authorization == AuthorizationRFC && c.any(hasMustRevalidate|hasPublic|hasSMaxAge)
}

// refusesCookies reports whether the response sets a cookie that other clients must not get. A
// cookie field that a qualified directive lists does not count, because it is not stored anyway.
func (r *Rules) refusesCookies(h http.Header, c *control) bool {
	if r.SetCookie != SetCookiePass {
		return false
	}
	for _, name := range [...]string{"Set-Cookie", "Set-Cookie2"} {
		if len(h[name]) > 0 && !slices.Contains(c.private, name) && !slices.Contains(c.noCache, name) {
			return true
		}
	}
	return false
}

// statusRefusal returns the reason why a response is not stored because of its status, or
// ReasonNone. RFC 9111 §3 requires an explicit permission or a heuristically cacheable status.
func (r *Rules) statusRefusal(status int, h http.Header, c *control) Reason {
	_, named := r.statusTTL(status)
	switch {
	case slices.Contains(conditional, status):
		return ReasonErrorStatus
	case named || !slices.Contains(forbidden, status) && isExplicit(h, c):
		return ReasonNone
	case isProvoked(status) || slices.Contains(forbidden, status):
		return ReasonErrorStatus
	case !slices.Contains(heuristic, status):
		return ReasonStatus
	}
	return ReasonNone
}

// isExplicit reports whether the origin explicitly allows storing the response (RFC 9111 §3, last
// condition).
func isExplicit(h http.Header, c *control) bool {
	return c.any(hasPublic|hasMaxAge|hasSMaxAge) || !c.final && len(h["Expires"]) > 0
}

// isUseless returns the reason why storing a response with these facts would be useless, or
// ReasonNone. It is useless if it is never fresh, can't be validated and has no window in which it
// may be served stale. An error is not worth validating.
func isUseless(m *Meta) Reason {
	validates := m.hasValidator() && !isProvoked(m.Status)
	switch {
	case validates:
		return ReasonNone
	case m.Flags&FlagNoCache != 0:
		return ReasonNoCache
	case m.Lifetime > 0 || m.StaleRevalid > 0 || m.StaleError > 0 && !isProvoked(m.Status):
		return ReasonNone
	}
	return ReasonNoFreshness
}
