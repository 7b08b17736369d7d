package cachepolicy

import (
	"net/http"
	"time"
)

// Precondition is the result of a request's conditions for a stored response.
type Precondition uint8

const (
	Full        Precondition = iota // answer as if the request had no condition
	NotModified                     // answer 304: the client already has the stored representation
	Failed                          // answer 412: the stored representation is not in the state that the client requires
)

// Conditional turns dst, the header of a request to the origin, into one that validates the stored
// response (RFC 9111 §4.3.1). It removes the client's own conditions and Range, because the store
// needs the answer first. It sends the stored entity tag byte for byte, even if it is malformed, so
// that the origin recognizes it. If there is no validator, the request is unconditional.
func Conditional(dst http.Header, stored *Meta) {
	removeConditions(dst)
	if stored == nil || stored.Flags&FlagSubstitute != 0 {
		return // the entity tag of a substitute belongs to another URL
	}
	if stored.ETag != "" {
		dst["If-None-Match"] = []string{stored.ETag}
	}
	if !stored.LastModified.IsZero() {
		dst["If-Modified-Since"] = []string{stored.LastModified.UTC().Format(http.TimeFormat)}
	}
}

func removeConditions(h http.Header) {
	delete(h, "If-Match")
	delete(h, "If-None-Match")
	delete(h, "If-Modified-Since")
	delete(h, "If-Unmodified-Since")
	delete(h, "If-Range")
	delete(h, "Range")
}

// Evaluate applies the request's preconditions to the stored response m, in the order of RFC 9110
// §13.2.2. RFC 9111 §4.3.2 leaves If-Match and If-Unmodified-Since to origins. A gateway answers in
// the origin's name, so it evaluates them too: if it ignored them, a client that requires one state
// would get another.
func Evaluate(q *Request, m *Meta) Precondition {
	// RFC 9110 §13.2.1: conditions count only if the answer without them would be a success. A
	// cache answers only GET and HEAD.
	if m.Status != http.StatusOK && m.Status != http.StatusPartialContent || q.Method != http.MethodGet && q.Method != http.MethodHead {
		return Full
	}
	if match := q.Header["If-Match"]; len(match) > 0 { // step 1
		if !anyTag(match, m.ETag, strongMatchMarked) {
			return Failed
		}
	} else if changedSince(q.Header["If-Unmodified-Since"], m) { // step 2
		return Failed
	}
	if none := q.Header["If-None-Match"]; len(none) > 0 { // step 3; even an empty list skips step 4
		if anyTag(none, m.ETag, weakMatchMarked) {
			return NotModified
		}
		return Full
	}
	if unchangedSince(q.Header["If-Modified-Since"], m) { // step 4
		return NotModified
	}
	return Full // PlanRange does step 5, If-Range
}

// changedSince reports whether If-Unmodified-Since fails. RFC 9110 §13.1.4 ignores the field if its
// date is invalid, or if the representation's modification date is unknown.
func changedSince(lines []string, m *Meta) bool {
	date, ok := oneDate(lines)
	return ok && !m.LastModified.IsZero() && m.LastModified.After(date)
}

// unchangedSince reports whether If-Modified-Since fails, which means a 304. If the modification
// date is unknown, the response's Date stands in for it (RFC 9111 §4.3.2). Meta.Date already holds
// the time of receipt if the response had no Date.
func unchangedSince(lines []string, m *Meta) bool {
	date, ok := oneDate(lines)
	if !ok {
		return false
	}
	modified := m.LastModified
	if modified.IsZero() {
		modified = m.Date.Truncate(time.Second) // a time of receipt has fractions of a second, which no field value can match
	}
	return !modified.IsZero() && !modified.After(date)
}

// oneDate reads a date field in any of the three formats (RFC 9110 §5.6.7). It treats two lines
// like a malformed one.
func oneDate(lines []string) (time.Time, bool) {
	if len(lines) != 1 {
		return time.Time{}, false
	}
	t, err := http.ParseTime(lines[0])
	return t, err == nil
}

// ifRangeHolds evaluates If-Range (RFC 9110 §13.1.5). If it reports false, the Range field must be
// ignored. It reports true if If-Range is absent.
func ifRangeHolds(q *Request, m *Meta) bool {
	lines := q.Header["If-Range"]
	if len(lines) == 0 {
		return true
	}
	if len(lines) != 1 {
		return false
	}
	if date, err := http.ParseTime(lines[0]); err == nil {
		return date.Equal(m.LastModified) && strongDate(m)
	}
	return strongMatch(lines[0], m.ETag)
}

// strongDate reports whether Last-Modified is a strong validator. RFC 9110 §8.8.2.2 requires that
// the response was made at least one second after it, since a second change within the same second
// would stay unseen.
func strongDate(m *Meta) bool {
	return !m.LastModified.IsZero() && m.Date.Sub(m.LastModified) >= time.Second
}
