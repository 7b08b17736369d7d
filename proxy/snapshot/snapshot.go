// Package snapshot answers requests by a compiled configuration.
//
// A Snapshot is immutable. A request keeps the Snapshot with which it began, whichever is in force
// when it ends. A Server gives each request, and each look of a connection, the Snapshot in force.
package snapshot

import (
	"net/http"
	"strings"

	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/explain"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/route"
	"github.com/penstock/penstock/proxy/write"
)

// Config is the compiled configuration of which a Snapshot is made.
type Config struct {
	Guard  edge.GuardConfig
	Routes []*Route      // by their index
	Router *route.Router // of Routes
	Cache  *cache.Cache
	Memo   *cache.HitIndex // of hits that connections answer
	Writes write.Store     // of writes that are applied later; nil if there is no queue
	Tracer *observe.Tracer
}

// Snapshot is a configuration compiled for answering requests. It is immutable.
type Snapshot struct {
	handler http.Handler // the guard, then dispatch
	router  *route.Router
	routes  []*Route
	cache   *cache.Cache
	guard   edge.GuardConfig
	memo    *cache.HitIndex
	hosts   *route.Hosts
	writes  write.Store
	tracer  *observe.Tracer
}

// New returns the Snapshot of c.
func New(c Config) *Snapshot {
	s := &Snapshot{
		router: c.Router, routes: c.Routes, cache: c.Cache, guard: c.Guard, memo: c.Memo, hosts: route.NewHosts(), writes: c.Writes, tracer: c.Tracer,
	}
	s.handler = edge.NewGuard(c.Guard)(http.HandlerFunc(s.dispatch))
	return s
}

// Writes returns the store of writes that are applied later, or nil if there is no queue.
func (s *Snapshot) Writes() write.Store { return s.writes }

// ServeHTTP answers r.
func (s *Snapshot) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// dispatch passes r, in canonical form, to its route.
func (s *Snapshot) dispatch(w http.ResponseWriter, r *http.Request) {
	if s.writes != nil && strings.HasPrefix(r.URL.Path, write.StatePath) {
		write.States(s.writes, edge.WriteError).ServeHTTP(w, r)
		return
	}
	ev := observe.FromContext(r.Context())
	found := s.route(r, ev)
	ev.Path = found.Path
	switch rt := s.compiled(found.Route); {
	case rt != nil:
		ev.Route, ev.Hidden = rt.Name, rt.Resource.Hidden
		s.tracer.Begin(ev, r.Header, rt.Path)
		rt.handler.ServeHTTP(w, edge.AtPath(r, found.Path))
	case r.Method == http.MethodOptions && r.URL.Path == "*":
		// It asks about the gateway, not about a resource (RFC 9110 §9.3.7).
		w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		ev.Status = http.StatusNoContent
		w.WriteHeader(http.StatusNoContent)
	default:
		refuseUnrouted(w, r, found)
	}
}

// refuseUnrouted answers a request that no route takes.
func refuseUnrouted(w http.ResponseWriter, r *http.Request, found route.Found) {
	switch found.Miss {
	case route.WrongMethod:
		edge.MethodNotAllowed(found.Allow)(w, r)
	case route.EmptySegments:
		edge.WriteError(w, r, http.StatusBadRequest, "http_request_error", "the path has empty segments, and without them it belongs to another route")
	default:
		edge.WriteError(w, r, http.StatusNotFound, "", "no route matches this request")
	}
}

// compiled returns the compiled form of r, or nil if r is nil.
func (s *Snapshot) compiled(r *route.Route) *Route {
	if r == nil {
		return nil
	}
	return s.routes[r.Index]
}

// route finds the route of r, or takes it from the connection if that has located r, and records
// the captured parameters.
func (s *Snapshot) route(r *http.Request, ev *observe.Event) route.Found {
	if at := edge.LocatedOf(r.Context()); at != nil && at.At(r) {
		ev.Captured = at.Captured
		return route.Found{Route: s.router.Named(at.Route), Path: at.Path}
	}
	var p route.Params
	found, _ := s.find(r, &p)
	ev.Captured = p.Captured(found.Path)
	return found
}

// find returns the route of r, and the method by which it takes r.
//
// A CORS preflight belongs to the route of the request that it announces, if that route has rules
// for it. So a route answers preflights also if its methods lack OPTIONS, and no other route
// promises anything for it. Without such rules the preflight is an OPTIONS like any other, except
// that a route which has rules does not answer it: browsers would then send a request that the
// route of that request has not allowed.
func (s *Snapshot) find(r *http.Request, p *route.Params) (found route.Found, method string) {
	path := r.URL.EscapedPath()
	asked, is := edge.Preflight(r)
	if !is {
		return s.router.Find(r.Host, path, r.Method, p), r.Method
	}
	announced := s.router.Find(r.Host, path, asked, p)
	if s.decides(announced.Route) {
		return announced, asked
	}
	found = s.router.Find(r.Host, path, r.Method, p)
	if announced.Route != nil && s.decides(found.Route) {
		return route.Found{Path: found.Path, Miss: route.WrongMethod, Allow: announced.Route.Methods}, r.Method
	}
	return found, r.Method
}

// decides reports whether r has rules about pages of other origins. r may be nil.
func (s *Snapshot) decides(r *route.Route) bool {
	rt := s.compiled(r)
	return rt != nil && rt.Resource.CORS != nil
}

// Subject returns s in the form that explanations take.
func (s *Snapshot) Subject() *explain.Subject {
	return &explain.Subject{
		Guard: s.guard, Router: s.router, Cache: s.cache, Find: s.find,
		Stages: func(r *route.Route) ([]edge.Stage, *cache.Resource) {
			rt := s.compiled(r)
			return rt.stages, rt.Resource
		},
		Refuse: func(w http.ResponseWriter, r *http.Request) {
			found, _ := s.find(r, nil)
			refuseUnrouted(w, r, found)
		},
	}
}
