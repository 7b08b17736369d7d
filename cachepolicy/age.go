package cachepolicy

import (
	"net/http"
	"strings"
	"time"
)

// dateOf is the Date of a response, or the time it was received where it has none that is valid (RFC 9110 §6.6.1).
func dateOf(h http.Header, received time.Time) time.Time {
	if lines := h["Date"]; len(lines) == 1 {
		if t, ok := parseDate(lines[0], received); ok {
			return t
		}
	}
	return received
}

// initialAge is the age of the answer when it was received: corrected_initial_age of RFC 9111 §4.2.3.
func initialAge(a *Answer) time.Duration {
	value, ok := ageValue(a.Header)
	if !ok {
		return unknownAge
	}
	corrected := value + max(0, a.Received.Sub(a.Sent)) // age_value + response_delay
	apparent := max(0, a.Received.Sub(dateOf(a.Header, a.Received)))
	// Date counts in seconds: less than one between the two says nothing, and would cost a response of max-age=1 its whole life.
	if apparent-corrected < time.Second {
		return corrected
	}
	return apparent
}

// unknownAge is the age of a response whose Age field can't be believed. RFC 9111 §5.1 has it ignored, which would take a response of
// any age for a new one; a cache may always be stricter, and one that is told of an age but not which is on the safe side here.
const unknownAge = maxDelta

// ageValue reads the Age field (RFC 9111 §5.1); absent, it is 0. Of a list the first member counts. Several lines, or such as an
// intermediary has joined with ", ", are the work of two caches of which one did not replace the other's field: which of them is
// right is not known.
func ageValue(h http.Header) (time.Duration, bool) {
	lines := h["Age"]
	switch {
	case len(lines) == 0:
		return 0, true
	case len(lines) > 1 || strings.Contains(lines[0], ", "):
		return 0, false
	}
	first, _, _ := strings.Cut(lines[0], ",")
	return parseDelta(trimOWS(first))
}
