package cachepolicy

import (
	"slices"
	"strings"
	"time"
)

// CookieMode says which responses a request with a cookie may share with other requests.
type CookieMode uint8

const (
	CookiesExplicit CookieMode = iota // only responses that are declared reusable (FlagDeclared)
	CookiesIgnore                     // cookies make no difference
	CookiesBypass                     // a request with a cookie bypasses the cache
)

// Shares reports whether q may share the response with the facts m with other requests. The rule
// holds in both directions: if q may not share the response, the cache neither stores it for others
// when q brings it, nor gives it to q when another request brought it.
//
// A request without a cookie shares any stored response. A request with a cookie counts as one
// user's request, so it shares only a response that is declared reusable: a lifetime that the cache
// assumed does not say for whom the response is. The same holds if the client, or a proxy in front,
// names the user in a field (see Identifies).
func (r *Rules) Shares(q *Request, m *Meta) bool {
	return (!r.HearsCookies(m) || !r.hasCookie(q)) && (!r.HearsIdentity(m) || !r.hasIdentity(q, m.Vary))
}

// HearsCookies reports whether the Cookie field of a request can prevent it from sharing the
// response with the facts m.
func (r *Rules) HearsCookies(m *Meta) bool {
	return r.Cookies == CookiesBypass || r.Cookies == CookiesExplicit && m.Flags&FlagDeclared == 0 && !m.Vary.variesOnCookie()
}

// declares reports whether the response itself says that it may answer other requests. It does so
// by an explicit lifetime above zero, or by public together with a lifetime from elsewhere. Stale
// windows, no-cache, and a lifetime that the rules or a heuristic assumed do not declare it
// reusable. named is the lifetime before the rules' bounds, because ttl.min also raises the
// lifetime of a response that declares none. A cache_control rule has already written its
// directives into the response, so it counts like the origin.
func (c *control) declares(named, lifetime time.Duration, by LifetimeSource) bool {
	if c.any(hasNoCache) {
		return false
	}
	return by.explicit() && named > 0 || c.any(hasPublic) && lifetime > 0
}

// variesOnCookie reports whether only requests with exactly the same cookies select the response.
// If so, the cookies are part of its address, like the cookies of Rules.KeyCookies.
func (v Vary) variesOnCookie() bool { return v.varies("Cookie") }

// hasCookie reports whether q has a cookie that counts. It allocates nothing.
func (r *Rules) hasCookie(q *Request) bool {
	for range r.countedCookies(q.Header["Cookie"]) {
		return true
	}
	return false
}

// CountedCookies returns the names of q's cookies that count, in order and without repeats. A
// cookie counts if it is neither ignored nor part of the key.
func (r *Rules) CountedCookies(q *Request) (names []string) {
	for name := range r.countedCookies(q.Header["Cookie"]) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// countedCookies yields the names of the cookies that count.
func (r *Rules) countedCookies(lines []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		if slices.Contains(r.KeyHeaders, "Cookie") {
			return
		}
		for _, line := range lines {
			for line != "" {
				var pair string
				pair, line, _ = strings.Cut(line, ";")
				if pair = trimOWS(pair); pair == "" {
					continue
				}
				name, value, _ := strings.Cut(pair, "=")
				if name = trimOWS(name); r.countsCookie(name, value) && !yield(name) {
					return
				}
			}
		}
	}
}

// countsCookie reports whether a cookie counts. A cookie in the key does not, because the key holds
// its whole value.
func (r *Rules) countsCookie(name, value string) bool {
	if slices.Contains(r.KeyCookies, name) {
		return false
	}
	_, ignored := matching(r.IgnoreCookies, name)
	return !ignored || hidesCookie(value)
}

// hidesCookie reports whether a server could read another cookie inside the value. RFC 6265
// separates cookies only by ";", but some parsers also accept a comma or a space, such as parsers
// for RFC 2109 and Python's http.cookies.
func hidesCookie(value string) bool {
	i := strings.IndexAny(value, ", \t\"")
	return i >= 0 && strings.Contains(value[i:], "=")
}

// hasCredentials reports whether the origin may have answered q for one user only.
func (r *Rules) hasCredentials(q *Request) bool {
	if q.Credential != "" {
		return true
	}
	for name := range q.Header {
		if name != "Cookie" && (givesAccess(name) || IdentifiesUser(name)) {
			return true
		}
	}
	return r.Cookies != CookiesIgnore && r.hasCookie(q)
}
