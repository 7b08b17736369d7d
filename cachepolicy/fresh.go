package cachepolicy

import (
	"net/http"
	"time"
)

const (
	heuristicShare = 10             // RFC 9111 §4.2.2: "a typical setting of this fraction might be 10%"
	heuristicMax   = 24 * time.Hour // the upper bound of a heuristic lifetime
)

// LifetimeSource says where a lifetime comes from.
type LifetimeSource uint8

const (
	LifetimeNone    LifetimeSource = iota // there is no lifetime
	LifetimeSMaxAge                       // the origin's s-maxage
	LifetimeMaxAge                        // the origin's max-age
	LifetimeExpires                       // the origin's Expires
	LifetimeStatus                        // Rules.TTLStatus
	LifetimeDefault                       // Rules.TTLDefault
	LifetimeGuess                         // a heuristic (RFC 9111 §4.2.2)
)

var lifetimeWords = [...]string{
	LifetimeNone: "none", LifetimeSMaxAge: "s-maxage", LifetimeMaxAge: "max-age", LifetimeExpires: "Expires",
	LifetimeStatus: "ttl.status", LifetimeDefault: "ttl.default", LifetimeGuess: "heuristic",
}

// String returns the word for the source.
func (s LifetimeSource) String() string {
	if int(s) < len(lifetimeWords) {
		return lifetimeWords[s]
	}
	return "unknown"
}

// explicit reports whether the origin sent the lifetime.
func (s LifetimeSource) explicit() bool {
	return s == LifetimeSMaxAge || s == LifetimeMaxAge || s == LifetimeExpires
}

// namedLifetime returns the lifetime before the rules bound it, and its source: the origin's, or
// else the rules', or else a heuristic one (RFC 9111 §4.2.1, §4.2.2).
func (r *Rules) namedLifetime(status int, h http.Header, c *control, received time.Time) (time.Duration, LifetimeSource) {
	if d, by := explicitLifetime(h, c, received); by != LifetimeNone {
		return d, by
	}
	if d, ok := r.statusTTL(status); ok {
		return d, LifetimeStatus
	}
	if !mayGuess(status, c) {
		return 0, LifetimeNone
	}
	if r.TTLDefault > 0 {
		return r.TTLDefault, LifetimeDefault
	}
	if d := guess(h, received); d > 0 && !r.IgnoreOrigin {
		return d, LifetimeGuess
	}
	return 0, LifetimeNone
}

// bounded applies the rules' floor to an explicit lifetime, and their ceiling to any lifetime.
func (r *Rules) bounded(d time.Duration, by LifetimeSource) time.Duration {
	if by.explicit() {
		d = max(d, r.TTLMin)
	}
	return r.bound(d)
}

// explicitLifetime returns the origin's lifetime, in the order of precedence of RFC 9111 §4.2.1.
func explicitLifetime(h http.Header, c *control, received time.Time) (time.Duration, LifetimeSource) {
	switch {
	case c.any(hasSMaxAge): // this is a shared cache
		return c.sMaxAge, LifetimeSMaxAge
	case c.any(hasMaxAge):
		return c.maxAge, LifetimeMaxAge
	case c.final:
		return 0, LifetimeNone
	}
	if d, ok := expiresLifetime(h, received); ok {
		return d, LifetimeExpires
	}
	return 0, LifetimeNone
}

// expiresLifetime returns the time from Date to Expires. If there are several Expires lines, the
// first counts (RFC 9111 §4.2.1). An invalid one, in particular "0", means a time in the past
// (§5.3).
func expiresLifetime(h http.Header, received time.Time) (time.Duration, bool) {
	lines := h["Expires"]
	if len(lines) == 0 {
		return 0, false
	}
	expires, ok := parseDate(lines[0], received)
	if !ok {
		return 0, true
	}
	return min(max(0, expires.Sub(dateOf(h, received))), maxDelta), true
}

// guess returns the heuristic lifetime: a tenth of the time from Last-Modified to Date, at most
// heuristicMax (RFC 9111 §4.2.2).
func guess(h http.Header, received time.Time) time.Duration {
	modified := lastModified(h, received)
	if modified.IsZero() {
		return 0
	}
	return min(max(0, dateOf(h, received).Sub(modified)/heuristicShare), heuristicMax)
}

// lastModified returns the Last-Modified date. It is zero if there is no single valid one.
func lastModified(h http.Header, received time.Time) time.Time {
	if lines := h["Last-Modified"]; len(lines) == 1 {
		if t, ok := parseDate(lines[0], received); ok {
			return t
		}
	}
	return time.Time{}
}

// statusTTL returns the lifetime that the rules set for a status. A 206 has the lifetime of a 200,
// unless the rules set its own.
func (r *Rules) statusTTL(status int) (time.Duration, bool) {
	d, ok := r.TTLStatus[status]
	if !ok && status == http.StatusPartialContent {
		d, ok = r.TTLStatus[http.StatusOK]
	}
	return d, ok
}

func (r *Rules) bound(d time.Duration) time.Duration {
	if r.TTLMax > 0 {
		return min(d, r.TTLMax)
	}
	return d
}

// jitter subtracts a random share from a lifetime, so that responses stored at the same time do not
// become stale at the same time. It keeps a lifetime under one second, because there is nothing to
// spread.
func (r *Rules) jitter(d time.Duration, chance float64) time.Duration {
	if r.TTLJitter <= 0 || d < time.Second {
		return d
	}
	return d - time.Duration(float64(d)*r.TTLJitter*chance)
}

// noStaleError is the StaleError of a response that must never be served in place of an error, even
// if the origin is unreachable. The origin sent stale-if-error=0 or forbade stale responses, or the
// response has no lifetime.
const noStaleError = -1

// windows returns how long after its lifetime a response may be served while it is refreshed, and
// while the origin fails (RFC 5861).
//
// The directives must-revalidate, proxy-revalidate and no-cache forbid both. s-maxage forbids them
// too, since it implies proxy-revalidate (RFC 9111 §5.2.2.10), unless the origin sends a window
// beside it: "s-maxage=1, stale-while-revalidate=59" is meant for this cache, and the explicit
// permission is more specific.
//
// The windows of the rules extend a lifetime and never create one (RFC 9111 §4.2.4). A response
// without a lifetime is for the request that brought it, and answers another request only if the
// origin confirms it. The origin's own windows count in any case.
func (r *Rules) windows(c *control, lifetime time.Duration) (revalid, onError time.Duration) {
	if c.any(hasMustRevalidate | hasProxyRevalidate | hasNoCache) {
		return 0, noStaleError
	}
	switch {
	case lifetime <= 0:
		onError = noStaleError // not even if the origin is unreachable
	case !c.any(hasSMaxAge):
		revalid, onError = r.StaleRevalid, r.StaleError
	}
	if c.any(hasStaleRevalid) {
		revalid = c.staleRevalid
	}
	if c.any(hasStaleError) {
		onError = c.staleError
		if onError == 0 {
			onError = noStaleError
		}
	}
	return revalid, onError
}
