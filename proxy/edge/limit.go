package edge

import (
	"io"
	"net/http"
)

// limited is a request body with a bound. It keeps what it was made of, so that a route's own limit takes the place of a wider one's instead of
// adding to it.
type limited struct {
	io.ReadCloser
	inner io.ReadCloser
}

// limit bounds body to n bytes; beyond them reading it fails with an *http.MaxBytesError, and the connection is closed after the response.
func limit(w http.ResponseWriter, body io.ReadCloser, n int64) io.ReadCloser {
	if body == nil || body == http.NoBody {
		return body
	}
	if outer, ok := body.(*limited); ok {
		body = outer.inner
	}
	return &limited{ReadCloser: http.MaxBytesReader(w, body, n), inner: body}
}

// LimitBody returns a middleware that answers 413 to a request that announces more than n bytes, and fails the reading of one that sends more with an
// *http.MaxBytesError. 0 is no limit. It replaces a limit that is there already.
func LimitBody(n int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if n <= 0 {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > n {
				bodyTooLarge.answer(w, r)
				return
			}
			if r.Body != nil && r.Body != http.NoBody {
				out := r.WithContext(r.Context())
				out.Body = limit(w, r.Body, n)
				r = out
			}
			next.ServeHTTP(w, r)
		})
	}
}
