package cachepolicy

import "net/http"

// IfRange returns the If-Range value for a request for the missing bytes of stored. It returns ""
// if stored has no strong validator, without which parts must not be joined (RFC 9110 §13.1.5, RFC
// 9111 §3.4).
func IfRange(stored *Meta) string {
	switch {
	case isStrong(stored.ETag):
		return stored.ETag
	case stored.ETag == "" && strongDate(stored):
		return stored.LastModified.UTC().Format(http.TimeFormat)
	}
	return ""
}
