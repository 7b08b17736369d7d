package cachepolicy

import (
	"net/http"
	"strings"
	"time"
)

// dateOf returns the Date of a response, or the time of receipt if there is no single valid Date
// (RFC 9110 §6.6.1).
func dateOf(h http.Header, received time.Time) time.Time {
	if lines := h["Date"]; len(lines) == 1 {
		if t, ok := parseDate(lines[0], received); ok {
			return t
		}
	}
	return received
}

// initialAge returns the age of the answer at its receipt: corrected_initial_age of RFC 9111
// §4.2.3. If the previous cache marked the response as stale, its age is at least its lifetime.
func initialAge(a *Answer) time.Duration {
	if servedStale(a.Header) {
		return max(agedFor(a), DownstreamLifetime(a.Header, a.Received))
	}
	return agedFor(a)
}

// agedFor returns the age according to the Age and Date fields.
func agedFor(a *Answer) time.Duration {
	corrected := ageValue(a.Header) + max(0, a.Received.Sub(a.Sent)) // age_value + response_delay
	apparent := max(0, a.Received.Sub(dateOf(a.Header, a.Received)))
	// Date counts in whole seconds. A difference under one second means nothing, and counting it
	// would cost a response with max-age=1 its whole lifetime.
	if apparent-corrected < time.Second {
		return corrected
	}
	return apparent
}

// ageValue reads the Age field (RFC 9111 §5.1). If the field is a list, on one line or on several,
// the first member counts. An absent Age, or one that is not a non-negative integer, is 0. A number
// that is too large becomes the largest one that we represent (§1.2.2).
func ageValue(h http.Header) time.Duration {
	for _, line := range h["Age"] {
		for member := range strings.SplitSeq(line, ",") {
			if member = trimOWS(member); member != "" { // RFC 9110 §5.6.1.2: empty members don't count
				age, _ := parseDelta(member)
				return age
			}
		}
	}
	return 0
}
