package cachepolicy

import (
	"net/http"
	"time"
)

// Precondition says what the request's conditions make of an answer from the store.
type Precondition uint8

const (
	Full        Precondition = iota // answer as if there were no condition
	NotModified                     // 304: the client has what is stored
	Failed                          // 412: the client asked for something else than what is stored
)

// Conditional turns dst, the fields of a request to the origin, into one that validates stored (RFC 9111 §4.3.1). The client's own
// conditions and Range go away: the answer is for the store first. The stored entity tag is sent byte for byte, even a malformed
// one, for it is the origin that has to know it again. Without a validator dst ends up unconditional.
func Conditional(dst http.Header, stored *Meta) {
	removeConditions(dst)
	if stored == nil {
		return
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

// Evaluate applies the request's preconditions to the stored response m, in the order of RFC 9110 §13.2.2. RFC 9111 §4.3.2
// leaves If-Match and If-Unmodified-Since to origins. A gateway answers in the origin's name: were it to ignore them, a client that
// asked for one state would be given another, so they are evaluated too.
func Evaluate(q *Request, m *Meta) Precondition {
	// RFC 9110 §13.2.1: only where the answer without conditions would be a success. A cache answers GET and HEAD alone.
	if m.Status != http.StatusOK && m.Status != http.StatusPartialContent || q.Method != http.MethodGet && q.Method != http.MethodHead {
		return Full
	}
	if match := q.Header["If-Match"]; len(match) > 0 { // step 1
		if !anyTag(match, m.ETag, strongMatch) {
			return Failed
		}
	} else if changedSince(q.Header["If-Unmodified-Since"], m) { // step 2
		return Failed
	}
	if none := q.Header["If-None-Match"]; len(none) > 0 { // step 3; step 4 is skipped even when the list is empty
		if anyTag(none, m.ETag, weakMatch) {
			return NotModified
		}
		return Full
	}
	if unchangedSince(q.Header["If-Modified-Since"], m) { // step 4
		return NotModified
	}
	return Full // step 5, If-Range, is PlanRange's
}

// changedSince is the failure of If-Unmodified-Since. RFC 9110 §13.1.4: ignored when it is no valid date, or when nothing is known
// about the representation's own date.
func changedSince(lines []string, m *Meta) bool {
	date, ok := oneDate(lines)
	return ok && !m.LastModified.IsZero() && m.LastModified.After(date)
}

// unchangedSince is the failure of If-Modified-Since. RFC 9111 §4.3.2: where nothing tells the modification date, the response's
// Date stands in for it (and the time of receipt where that is missing, which Meta.Date already is).
func unchangedSince(lines []string, m *Meta) bool {
	date, ok := oneDate(lines)
	if !ok {
		return false
	}
	modified := m.LastModified
	if modified.IsZero() {
		modified = m.Date.Truncate(time.Second) // a time of receipt has fractions that no field value can match
	}
	return !modified.IsZero() && !modified.After(date)
}

// oneDate reads a date field in any of the three formats (RFC 9110 §5.6.7). Two lines are as good as a malformed one.
func oneDate(lines []string) (time.Time, bool) {
	if len(lines) != 1 {
		return time.Time{}, false
	}
	t, err := http.ParseTime(lines[0])
	return t, err == nil
}

// ifRangeHolds evaluates If-Range (RFC 9110 §13.1.5): when it is false the Range field is ignored. An absent field holds.
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

// strongDate reports whether Last-Modified is a strong validator: RFC 9110 §8.8.2.2 wants the response to have been made at least
// one second later, else a second change within that second would go unseen.
func strongDate(m *Meta) bool {
	return !m.LastModified.IsZero() && m.Date.Sub(m.LastModified) >= time.Second
}
