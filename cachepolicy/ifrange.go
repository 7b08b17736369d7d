package cachepolicy

import "net/http"

// IfRange is the If-Range field for asking for the missing bytes of stored, "" when it has no validator that is strong enough to join parts
// (RFC 9110 §13.1.5, RFC 9111 §3.4).
func IfRange(stored *Meta) string {
	switch {
	case isStrong(stored.ETag):
		return stored.ETag
	case stored.ETag == "" && strongDate(stored):
		return stored.LastModified.UTC().Format(http.TimeFormat)
	}
	return ""
}
