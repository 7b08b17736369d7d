package cachepolicy

import (
	"net/http"
	"slices"
)

// understood are the final statuses whose caching requirements are implemented here (RFC 9111 §5.2.2.3, RFC 9110 §15).
var understood = []int{
	200, 201, 202, 203, 204, 205, 206,
	300, 301, 302, 303, 304, 305, 307, 308,
	400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 426, 428, 429, 431, 451,
	500, 501, 502, 503, 504, 505, 511,
}

// heuristic are the statuses that may be stored without a word from the origin (RFC 9110 §15.1), but for 405, 414 and 501: what a
// request's own method, length or fields can provoke would let one client replace a page for all (see provoked).
var heuristic = []int{200, 203, 204, 206, 300, 301, 308, 404, 410}

// provoked are the errors that a request can bring about by its own fields, which no key covers. They are stored only where the
// origin or the rules say so explicitly; the same goes for all of 5xx.
var provoked = []int{400, 405, 406, 413, 414, 416, 431}

// forbidden are the statuses whose responses MUST NOT be stored whatever their fields say (RFC 6585 §3 to §6). Rules that name such
// a status know what they do.
var forbidden = []int{428, 429, 431, 511}

// conditional are the statuses that answer fields which Vary never names: conditions, Range, Expect. Under the key of the plain GET
// they would be a lie.
var conditional = []int{304, 412, 416, 417}

func isProvoked(status int) bool { return status >= 500 || slices.Contains(provoked, status) }

// mayGuess reports whether a lifetime may be assumed where the origin names none: the status is heuristically cacheable, or the
// response is marked public (RFC 9111 §4.2.2).
func mayGuess(status int, c *control) bool {
	return c.any(hasPublic) || slices.Contains(heuristic, status)
}

// refusal tells why a response with the fields h must not be stored in a shared cache, whatever its status and lifetime: the
// conditions of RFC 9111 §3 that concern the request and the directives. With IgnoreOrigin c has no directives, so that private
// and no-store don't count; those modes of the rules that keep one user's response from another still do.
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

// mayShare applies RFC 9111 §3.5: a response to a request with Authorization is stored when a directive allows it. Under
// AuthorizationKey nobody else can reach it, so there is nothing to allow.
func (r *Rules) mayShare(q *Request, c *control) bool {
	if len(q.Header["Authorization"]) == 0 || r.Authorization == AuthorizationKey {
		return true
	}
	return r.Authorization == AuthorizationRFC && c.any(hasMustRevalidate|hasPublic|hasSMaxAge)
}

// refusesCookies keeps a cookie made for one client from all others. One that a qualified directive lists is not stored anyway.
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

// statusRefusal tells why a response is not stored because of its status: RFC 9111 §3 wants something explicit, or a status that
// is heuristically cacheable.
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

// isExplicit reports whether the origin has said in so many words that the response may be stored (RFC 9111 §3, last condition).
func isExplicit(h http.Header, c *control) bool {
	return c.any(hasPublic|hasMaxAge|hasSMaxAge) || !c.final && len(h["Expires"]) > 0
}

// isUseless tells why it would serve nobody to store a response with these facts, or ReasonNone: it is never fresh, can't be
// validated, and has no window in which it may be served stale. An error is not worth validating.
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
