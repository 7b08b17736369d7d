package proxy

import (
	"context"
	"net/http"
	"strings"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// invalidate makes stale, on all instances, what is stored for a GET of absoluteURL, on whatever route it is (RFC 9111 §4.4).
func (s *Snapshot) invalidate(ctx context.Context, absoluteURL string, q *cachepolicy.Request) {
	scheme, host, path, query, ok := cachepolicy.CanonicalURL(q, absoluteURL)
	if !ok {
		return
	}
	if canonical, err := edge.CanonicalPath(path); err == nil {
		path = canonical
	}
	s.written(ctx, scheme, host, path, query, q)
}

// written makes stale what is stored under a URL in canonical form. What this instance holds under the key that the write's own fields give goes at
// once; the purge is for what other fields, tiers and instances hold.
func (s *Snapshot) written(ctx context.Context, scheme, host, path, query string, q *cachepolicy.Request) {
	rt, _ := s.router.find(host, path, http.MethodGet, nil)
	if rt == nil || !rt.rules.Enabled {
		return
	}
	url := scheme + "://" + host + path
	if query != "" {
		url += "?" + query
	}
	if key, ok := rt.rules.URLKey(q, url); ok {
		s.cache.Drop(ctx, key)
	}
	s.live.publish(ctx, store.Purge{Targets: []store.Target{store.URLTarget(host, path, rt.rules.KeyQuery(query))}})
}

// compileWritten gives what a successful write on a route makes stale beside its own URL; nil: nothing.
func compileWritten(r *config.Route, s *Snapshot) func(context.Context, *http.Request, *cachepolicy.Request) {
	if len(r.Writes.Targets) == 0 {
		return nil
	}
	return func(ctx context.Context, req *http.Request, q *cachepolicy.Request) {
		captured := observe.FromContext(req.Context()).Captured
		for _, target := range r.Writes.Targets {
			value := expand(target, captured)
			if tag, ok := strings.CutPrefix(value, "tag:"); ok {
				s.live.publish(ctx, store.Purge{Targets: []store.Target{{Kind: store.TargetTag, Value: tag}}})
				continue
			}
			s.invalidate(ctx, q.Scheme+"://"+q.Host+value, q)
		}
	}
}
