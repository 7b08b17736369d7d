package build

import (
	"net/http"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/write"
)

// behind returns the middleware that accepts the writes of a route, or nil if the upstream answers
// the route's writes.
func (b *builder) behind(r *config.Route, res *cache.Resource) func(http.Handler) http.Handler {
	if r.Writes.Policy != config.WriteBehind || b.Writes == nil {
		return nil
	}
	q := r.Writes.Queue
	accept := &write.Behind{
		Store: b.Writes, Name: b.name, Route: r.Name, MaxBody: b.cfg.Writes.MaxBody, WriteError: edge.WriteError, Now: time.Now,
		Policy: write.Policy{Retries: q.Retries, Backoff: q.Backoff, MaxBackoff: q.MaxBackoff, DeadLetter: q.DeadLetter, RetryOn: r.Writes.RetryOn},
	}
	if by := r.Writes.OrderBy; by != "" {
		accept.Order = func(req *http.Request) string { return expand(by, observe.FromContext(req.Context()).Captured) }
	}
	if q.CacheBody {
		accept.Seen = func(r *http.Request) string {
			return write.SeenName(r.Host, r.URL.EscapedPath(), res.Rules.KeyQuery(r.URL.RawQuery))
		}
		accept.Queued = func(r *http.Request) { b.cache.Forget(r.Context(), res, r, observe.FromContext(r.Context()).Scheme) }
		res.Queue = &routeQueue{b.Writes, res.Rules}
	}
	return func(next http.Handler) http.Handler { return linked(accept.Handler(next)) }
}

// linked records the span of a write's acceptance in the write, so that the span of each attempt
// links to it.
func linked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if own := observe.Traceparent(r.Context()); own != "" && r.Method != http.MethodGet && r.Method != http.MethodHead {
			r.Header["Traceparent"] = []string{own}
		}
		next.ServeHTTP(w, r)
	})
}
