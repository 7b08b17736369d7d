package proxy

import (
	"net/http"
	"slices"

	"github.com/go-chi/chi/v5"
)

// keyQueries gives the queries under which the routes that a URL can come to may have stored it, the one as given among them. Other instances are
// taken to run the same configuration.
func (rt *router) keyQueries(host, path, query string) []string {
	queries := []string{query}
	for _, r := range rt.at(host, path) {
		if q := r.keyQuery(query); !slices.Contains(queries, q) {
			queries = append(queries, q)
		}
	}
	return queries
}

// at gives the routes that requests for a host and path can come to, whatever their method.
func (rt *router) at(host, path string) []*route {
	ctx := rt.contexts.Get().(*chi.Context)
	defer func() {
		ctx.Reset()
		rt.contexts.Put(ctx)
	}()
	mux := rt.mux(host)
	set := mux.patterns[mux.tree.Find(ctx, http.MethodGet, path)]
	if set == nil {
		return nil
	}
	return set.routes()
}

func (m *methods) routes() (routes []*route) {
	if m.any != nil {
		routes = append(routes, m.any)
	}
	for _, r := range m.by {
		routes = append(routes, r)
	}
	return routes
}

// names are those of all routes.
func (rt *router) names() (names []string) {
	muxes := []*hostMux{rt.any}
	for _, m := range rt.exact {
		muxes = append(muxes, m)
	}
	for _, w := range rt.wildcard {
		muxes = append(muxes, w.mux)
	}
	for _, m := range muxes {
		for _, set := range m.patterns {
			for _, r := range set.routes() {
				names = append(names, r.name)
			}
		}
	}
	return names
}
