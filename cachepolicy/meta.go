package cachepolicy

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

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
	if by == LifetimeGuess {
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

// hasValidator reports whether the response can be validated (RFC 9111 §4.3.1).
func (m *Meta) hasValidator() bool { return m.ETag != "" || !m.LastModified.IsZero() }
