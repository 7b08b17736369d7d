package snapshot

import (
	"strings"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/route"
	"github.com/penstock/penstock/proxy/write"
)

// located is the place that a connection finds for a request. Its strings are views of the
// connection's buffer, and so are valid until the request is answered or handed over.
type located struct {
	cache.Place
	route  *Route
	host   *route.Host
	params route.Params
}

// locate finds the place of a request, and reports false if only the guard can tell. It does what
// guard, router and cache do with a request whose path and query are canonical as the client sent
// them. So a hit costs the same however many URLs there are.
func (s *Snapshot) locate(q *cache.Question, at *located) bool {
	path, query, ok := s.guard.Parts(q.Target)
	if !ok || s.writes != nil && strings.HasPrefix(path, write.StatePath) {
		return false
	}
	if at.host = s.hosts.Find(q.Host, q.Scheme); at.host == nil {
		return false
	}
	found := s.router.Find(at.host.Canonical, path, q.Method, &at.params)
	if at.route = s.compiled(found.Route); at.route == nil {
		return false
	}
	at.Resource, at.Host, at.Path, at.Query = at.route.Resource, at.host.Canonical, found.Path, query
	if at.route.Keyed {
		at.Key, _ = at.route.Resource.Rules.Key(&cachepolicy.Request{Method: q.Method, Scheme: q.Scheme, Host: at.Host, Path: at.Path, RawQuery: query})
	}
	return true
}

// answerable reports whether the connection may look for a stored response at this place.
func (at *located) answerable() bool { return at.route.firstHits && at.Key.Full != "" }

// kept returns the place in a form that outlives the connection's buffer.
func (at *located) kept(q *cache.Question) *edge.Located {
	target := strings.Clone(q.Target)
	path, query, _ := strings.Cut(target, "?")
	if path != at.Path {
		path = strings.Clone(at.Path)
	}
	return &edge.Located{
		Method: q.Method, Scheme: q.Scheme, RawHost: at.host.Raw, Target: target, Client: q.Client,
		Host: at.Host, Path: path, Query: query, Route: at.route.Name, Captured: at.params.Captured(path), Key: at.Key,
	}
}
