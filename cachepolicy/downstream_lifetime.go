package cachepolicy

import (
	"net/http"
	"strings"
	"time"
)

// DownstreamLifetime returns the longest freshness lifetime that a cache or browser behind the
// gateway may read from the fields of a response: max-age, s-maxage, the lifetimes of targeted
// fields (RFC 9213), Expires, or a heuristic if all of these are missing. If the gateway's own
// rules have made a response stale, the gateway sends it with at least this Age, so that no cache
// treats it as fresh (RFC 9111 §4.2.1).
func DownstreamLifetime(h http.Header, received time.Time) time.Duration {
	told, explicit := time.Duration(0), false
	for name, lines := range h {
		if !strings.HasSuffix(name, "Cache-Control") && name != "Surrogate-Control" {
			continue
		}
		c := parseCacheControl(lines)
		explicit = explicit || c.any(hasMaxAge|hasSMaxAge)
		told = max(told, c.maxAge, c.sMaxAge)
	}
	if d, ok := expiresLifetime(h, received); ok {
		told, explicit = max(told, d), true
	}
	if modified := lastModified(h, received); !explicit && !modified.IsZero() {
		return max(0, dateOf(h, received).Sub(modified)/heuristicShare)
	}
	return told
}

// servedStale reports whether the previous cache says that it served the response stale from its
// store: a hit whose lifetime is over (RFC 9211 §2.1, §2.4). The last member of Cache-Status
// belongs to the nearest cache.
func servedStale(h http.Header) bool {
	lines := h["Cache-Status"]
	if len(lines) == 0 {
		return false
	}
	line := lines[len(lines)-1]
	start, quoted := 0, false
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\' && quoted:
			i++
		case line[i] == '"':
			quoted = !quoted
		case line[i] == ',' && !quoted:
			start = i + 1
		}
	}
	hit, over := false, false
	for i, param := range strings.Split(line[start:], ";") {
		name, value, valued := strings.Cut(trimOWS(param), "=")
		switch {
		case i == 0:
		case name == "hit":
			hit = !valued
		case name == "ttl":
			over = value == "0" || strings.HasPrefix(value, "-")
		}
	}
	return hit && over
}
