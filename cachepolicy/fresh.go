package cachepolicy

import (
	"net/http"
	"time"
)

const (
	heuristicShare = 10             // RFC 9111 §4.2.2: "a typical setting of this fraction might be 10%"
	heuristicMax   = 24 * time.Hour // a guess is not good for longer
)

// LifetimeSource says who named a lifetime.
type LifetimeSource uint8

const (
	LifetimeNone    LifetimeSource = iota // nobody
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

// String is the word for who named it.
func (s LifetimeSource) String() string {
	if int(s) < len(lifetimeWords) {
		return lifetimeWords[s]
	}
	return "unknown"
}

// explicit reports whether the origin named it.
func (s LifetimeSource) explicit() bool {
	return s == LifetimeSMaxAge || s == LifetimeMaxAge || s == LifetimeExpires
}

// lifetime is the freshness lifetime of a response with the given status and fields, received at received, and who named it.
func (r *Rules) lifetime(status int, h http.Header, c *control, received time.Time) (time.Duration, LifetimeSource) {
	d, by := r.namedLifetime(status, h, c, received)
	return r.bounded(d, by), by
}

// namedLifetime is the lifetime before the rules bound it: the origin's, else that of the rules, else a guess (RFC 9111 §4.2.1, §4.2.2).
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

// bounded applies the floor, which is for what the origin says, and the ceiling, which is for all.
func (r *Rules) bounded(d time.Duration, by LifetimeSource) time.Duration {
	if by.explicit() {
		d = max(d, r.TTLMin)
	}
	return r.bound(d)
}

// explicitLifetime is what the origin says, by the first of RFC 9111 §4.2.1 that is there.
func explicitLifetime(h http.Header, c *control, received time.Time) (time.Duration, LifetimeSource) {
	switch {
	case c.any(hasSMaxAge): // we are a shared cache
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

// expiresLifetime is Expires minus Date. Of several Expires the first counts (RFC 9111 §4.2.1); an invalid one, above all "0", means
// a time in the past (§5.3).
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

// guess is a tenth of how long the response had not changed when it was made (RFC 9111 §4.2.2).
func guess(h http.Header, received time.Time) time.Duration {
	modified := lastModified(h, received)
	if modified.IsZero() {
		return 0
	}
	return min(max(0, dateOf(h, received).Sub(modified)/heuristicShare), heuristicMax)
}

// lastModified is the Last-Modified field, zero when there is none that is valid.
func lastModified(h http.Header, received time.Time) time.Time {
	if lines := h["Last-Modified"]; len(lines) == 1 {
		if t, ok := parseDate(lines[0], received); ok {
			return t
		}
	}
	return time.Time{}
}

// statusTTL is the lifetime that the rules name for a status. A part of a 200 lives as long as the 200.
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

// jitter takes a random share off a lifetime, so that what was stored together does not become stale together. A lifetime under a
// second is left alone: there is nothing to spread.
func (r *Rules) jitter(d time.Duration, chance float64) time.Duration {
	if r.TTLJitter <= 0 || d < time.Second {
		return d
	}
	return d - time.Duration(float64(d)*r.TTLJitter*chance)
}

// noStaleError is the StaleError of a response whose origin said stale-if-error=0: not even when it can't be reached.
const noStaleError = -1

// windows gives how long after its lifetime a response may be served while it is refreshed, and while the origin fails (RFC 5861).
//
// must-revalidate, proxy-revalidate and no-cache forbid both. s-maxage forbids too, for it implies proxy-revalidate (RFC 9111
// §5.2.2.10), unless the origin names a window beside it: who writes "s-maxage=1, stale-while-revalidate=59" means this cache, and
// the explicit permission is the more specific.
func (r *Rules) windows(c *control) (revalid, onError time.Duration) {
	if c.any(hasMustRevalidate | hasProxyRevalidate | hasNoCache) {
		return 0, noStaleError
	}
	if !c.any(hasSMaxAge) {
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
