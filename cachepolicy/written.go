package cachepolicy

import (
	"net/http"
	"slices"
	"strings"
)

// Refreshes reports whether the answer a means that the write q gave its URL a new representation,
// which a GET can fetch now. A 202 only announces one (RFC 9110 §15.3.3), and after a DELETE there
// is nothing to fetch.
func Refreshes(q *Request, a *Answer) bool {
	switch q.Method {
	case http.MethodPut, http.MethodPatch, http.MethodPost:
		return a.Failure == FailureNone && a.Status >= 200 && a.Status < 300 && a.Status != http.StatusAccepted
	}
	return false
}

// Represents reports whether the content of the answer a to the write q is the new representation
// of q's URL. It is if Content-Location names that URL (RFC 9110 §8.7). If trusted is true, the
// rules also say so for an answer without Content-Location, and Represents believes that for PUT
// and PATCH only: a response to POST usually is the result of the action, or represents a new
// resource elsewhere (RFC 9110 §9.3.3).
func Represents(q *Request, a *Answer, trusted bool) bool {
	if !Refreshes(q, a) || a.Status != http.StatusOK && a.Status != http.StatusCreated || len(a.Header["Content-Range"]) > 0 {
		return false
	}
	switch location := a.Header["Content-Location"]; len(location) {
	case 0:
		return trusted && q.Method != http.MethodPost
	case 1:
		scheme, host, path, query, ok := CanonicalURL(q, location[0])
		return ok && scheme == q.Scheme && host == q.Host && path == q.Path && query == q.RawQuery
	}
	return false
}

// ofWrites lists fields that describe a write or its content and have no meaning for a GET of the
// same client.
var ofWrites = []string{
	"Expect", "Idempotency-Key", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Prefer", "Range", "Te", "Trailer",
	"Transfer-Encoding", "Digest", "Repr-Digest", "Signature", "Signature-Input",
	"X-Http-Method", "X-Http-Method-Override", "X-Method-Override", // these would turn the GET into another write
}

// ReadHeader returns the header for a GET of the same URL by the client that sent a write with the
// header h.
func ReadHeader(h http.Header) http.Header {
	out := make(http.Header, len(h))
	for name, values := range h {
		if !strings.HasPrefix(name, "Content-") && !slices.Contains(ofWrites, name) {
			out[name] = slices.Clone(values)
		}
	}
	return out
}
