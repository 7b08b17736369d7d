package upstream

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/penstock/penstock/proxy/upstream/send"
)

// Bounds override the timeouts of a pool for some requests. nil leaves the pool's own.
type Bounds struct {
	FirstByte, Idle, Total *time.Duration
}

type boundsKey struct{}

// Bound is next for requests that go by b. It is next itself if b overrides nothing.
func Bound(next http.RoundTripper, b Bounds) http.RoundTripper {
	if b == (Bounds{}) {
		return next
	}
	return &bounded{next, &b}
}

type bounded struct {
	next   http.RoundTripper
	bounds *Bounds
}

// RoundTrip sends r with the bounds.
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	return b.next.RoundTrip(r.WithContext(context.WithValue(r.Context(), boundsKey{}, b.bounds)))
}

// WithInterim returns a context that has interim responses delivered to f as they come: 103 and
// others, but not 100 and 101. f is called while RoundTrip runs, never after it has returned, and
// may keep the header.
func WithInterim(ctx context.Context, f func(status int, h http.Header)) context.Context {
	return send.WithInterim(ctx, f)
}

// bounds are the timeouts of one request.
func (p *Pool) bounds(ctx context.Context) Timeouts {
	t := p.config.Timeouts
	if b, ok := ctx.Value(boundsKey{}).(*Bounds); ok {
		t.FirstByte, t.Idle, t.Total = *cmp.Or(b.FirstByte, &t.FirstByte), *cmp.Or(b.Idle, &t.Idle), *cmp.Or(b.Total, &t.Total)
	}
	return t
}
