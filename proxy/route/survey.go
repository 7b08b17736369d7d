package route

import (
	"slices"

	"github.com/penstock/penstock/proxy/edge"
)

// KeyQueries returns the queries under which the routes of a URL may have stored its responses, the
// given query among them. It assumes that other instances run the same configuration.
func (rt *Router) KeyQueries(host, path, query string) []string {
	queries := []string{query}
	for _, r := range rt.at(host, path) {
		if q := r.KeyQuery(query); !slices.Contains(queries, q) {
			queries = append(queries, q)
		}
	}
	return queries
}

// at returns the routes that take requests for a host and path, whatever their method.
func (rt *Router) at(host, path string) []*Route {
	set := rt.lookup(rt.mux(host), path)
	if set == nil {
		return nil
	}
	return set.routes()
}

func (m *methods) routes() (routes []*Route) {
	if m.any != nil {
		routes = append(routes, m.any)
	}
	for _, r := range m.by {
		routes = append(routes, r)
	}
	return routes
}

// Forms returns the paths under which responses to requests for a canonical path may be stored.
// There are two if path has empty segments, because a route may merge slashes.
func Forms(path string) []string {
	if merged := edge.MergeSlashes(path); merged != path {
		return []string{path, merged}
	}
	return []string{path}
}
