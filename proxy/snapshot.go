package proxy

import (
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/write"
)

// Snapshot is a configuration compiled for answering requests. It is immutable.
type Snapshot struct {
	handler   http.Handler // the guard, then the router
	explainer http.Handler // the same, in front of routes that only say what they would do
	router    *router
	cache     *cache.Cache
	live      *live
	guard     edge.GuardConfig
	memo      *cache.Memo // of hits that connections answer
	hosts     *hosts
	writes    write.Store // those that are applied later; nil: none are
	pools     map[string]*pool
	tracer    *observe.Tracer
	// prometheus says that the admin API has /metrics.
	prometheus bool
}

// ServeHTTP answers r.
func (s *Snapshot) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// dispatch hands r, in canonical form, to its route.
func (s *Snapshot) dispatch(w http.ResponseWriter, r *http.Request) {
	if s.writes != nil && strings.HasPrefix(r.URL.Path, write.StatePath) {
		write.States(s.writes, edge.WriteError).ServeHTTP(w, r)
		return
	}
	ev := observe.FromContext(r.Context())
	rt, refuse := s.router.find(r.Host, r.URL.EscapedPath(), r.Method, func(c *chi.Context) { ev.Captured = captured(c) })
	switch {
	case rt != nil:
		ev.Route = rt.name
		s.tracer.Begin(ev, r.Header, rt.path)
		rt.handler.ServeHTTP(w, r)
	case r.Method == http.MethodOptions && r.URL.Path == "*":
		// It asks about the gateway, not about a resource (RFC 9110 §9.3.7).
		w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		ev.Status = http.StatusNoContent
		w.WriteHeader(http.StatusNoContent)
	case refuse != nil:
		refuse.ServeHTTP(w, r)
	default:
		edge.WriteError(w, r, http.StatusNotFound, "", "no route matches this request")
	}
}

// captured copies what a pattern captured: chi uses its context again.
func captured(c *chi.Context) map[string]string {
	params := make(map[string]string, len(c.URLParams.Keys))
	for i, name := range c.URLParams.Keys {
		params[name] = c.URLParams.Values[i]
	}
	return params
}
