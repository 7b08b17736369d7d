package cachepolicy

import (
	"net/http"
	"slices"
	"strings"
)

// Refreshes reports whether the answer a says that q has given its URL a new representation, which can be asked for from now on. A 202 says no
// more than that it will (RFC 9110 §15.3.3), and what a DELETE leaves is nothing that is worth asking for.
func Refreshes(q *Request, a *Answer) bool {
	switch q.Method {
	case http.MethodPut, http.MethodPatch, http.MethodPost:
		return a.Failure == FailureNone && a.Status >= 200 && a.Status < 300 && a.Status != http.StatusAccepted
	}
	return false
}

// Represents reports whether the content of the answer a to the write q is the new representation of q's URL: where Content-Location names that URL
// (RFC 9110 §8.7), or, with trusted, where the rules say so of an answer that does not name another. That is believed of PUT and PATCH alone:
// what answers a POST is as a rule the result of the action, or what it has made somewhere else (RFC 9110 §9.3.3).
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

// ofWrites are the fields that say something about a write or its content, and nothing about a GET of the same client.
var ofWrites = []string{
	"Expect", "Idempotency-Key", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Prefer", "Range", "Te", "Trailer",
	"Transfer-Encoding", "Digest", "Repr-Digest", "Signature", "Signature-Input",
	"X-Http-Method", "X-Http-Method-Override", "X-Method-Override", // these would make the GET another write
}

// ReadHeader is the header with which the client of a write with the header h would ask for the same URL.
func ReadHeader(h http.Header) http.Header {
	out := make(http.Header, len(h))
	for name, values := range h {
		if !strings.HasPrefix(name, "Content-") && !slices.Contains(ofWrites, name) {
			out[name] = slices.Clone(values)
		}
	}
	return out
}
