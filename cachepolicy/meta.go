package cachepolicy

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// describe returns the facts of a response with the given status and fields. The answer a brought
// the response or validated it last.
func (r *Rules) describe(a *Answer, status int, h http.Header, c *control, vary Vary, chance float64) Meta {
	age := initialAge(a)
	if r.IgnoreOrigin {
		age = max(0, a.Received.Sub(a.Sent)) // the rules' lifetime counts from here, not from a previous cache
	}
	named, by := r.namedLifetime(status, h, c, a.Received)
	lifetime := r.bounded(named, by)
	m := Meta{
		Status: status, Flags: c.flags(), Vary: vary, Total: -1,
		Born: a.Received.Add(-age), Received: a.Received, Date: dateOf(h, a.Received),
		Lifetime: r.jitter(lifetime, chance), FillTime: max(0, a.Received.Sub(a.Sent)),
		ETag: entityTag(h), LastModified: lastModified(h, a.Received),
		Language: strings.ToLower(trimOWS(h.Get("Content-Language"))),
	}
	if by == LifetimeGuess {
		m.Flags |= FlagHeuristic
	}
	if c.declares(named, lifetime, by) {
		m.Flags |= FlagDeclared
	}
	m.StaleRevalid, m.StaleError = r.windows(c, lifetime)
	return m
}

// flags returns the directives that decide about reuse.
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

// authorized returns FlagAuthorized if RFC 9111 §3.5 allows storing although q has Authorization.
func (r *Rules) authorized(q *Request) Flags {
	if q.HasAuthorization() && r.Authorization == AuthorizationRFC {
		return FlagAuthorized
	}
	return 0
}

// entityTag returns the ETag field as received. It returns "" if there are several, because it is
// unknown which one holds.
func entityTag(h http.Header) string {
	if lines := h["Etag"]; len(lines) == 1 {
		return trimOWS(lines[0])
	}
	return ""
}

// contentLength returns the Content-Length, or -1 if there is no valid one.
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

// Reusable reports whether the response may, at now, answer requests without a call to the origin.
func (m *Meta) Reusable(now time.Time) bool {
	return m.Flags&FlagNoCache == 0 && m.Age(now) < m.Lifetime+m.StaleRevalid
}

// hasValidator reports whether the response can be validated (RFC 9111 §4.3.1). The validators of a
// substitute belong to another URL, so they don't count.
func (m *Meta) hasValidator() bool {
	return m.Flags&FlagSubstitute == 0 && (m.ETag != "" || !m.LastModified.IsZero())
}
