package edge

import (
	"io"
	"net/http"

	"github.com/penstock/penstock/proxy/observe"
)

// limited is a request body with a limit. It keeps the original body, so that a route's own limit
// replaces the server's limit instead of adding to it.
type limited struct {
	io.ReadCloser
	inner io.ReadCloser
}

// limit bounds body to n bytes. Reading beyond them fails with an *http.MaxBytesError, and the
// connection is closed after the response.
func limit(w http.ResponseWriter, body io.ReadCloser, n int64) io.ReadCloser {
	if body == nil || body == http.NoBody {
		return body
	}
	if outer, ok := body.(*limited); ok {
		body = outer.inner
	}
	return &limited{ReadCloser: http.MaxBytesReader(unwrapped(w), body, n), inner: body}
}

const bodyLimitStage = "limits.body_bytes"

// BodyLimitStage returns the stage of LimitBody(n), for n above 0. A connection answers no request with content, so the stage is indifferent to hits.
func BodyLimitStage(n int64) Stage {
	return Stage{Name: bodyLimitStage, Wrap: LimitBody(n), OnHit: Indifferent(), Explain: func(at *Located, e *Explanation) {
		if at.BodySize > n {
			e.Refuse(bodyTooLarge.status, bodyTooLarge.detail)
		}
	}}
}

// LimitBody returns a middleware that answers 413 if the Content-Length exceeds n bytes. If a body
// without a length exceeds n bytes, reading it fails with an *http.MaxBytesError. If n is 0, there
// is no limit. The limit replaces an outer one.
func LimitBody(n int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if n <= 0 {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > n {
				ev := observe.FromContext(r.Context())
				ev.RefusedBy, ev.Refusal = bodyLimitStage, "too_large"
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
