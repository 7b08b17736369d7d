package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
)

// notes says of each route why it is the one for a request, or why not.
func (rt *router) notes(host, path, method string, chosen *route) []ExplainedRoute {
	var notes []ExplainedRoute
	for _, r := range rt.routes {
		notes = append(notes, ExplainedRoute{Name: r.name, Match: r.pattern(), Chosen: r == chosen, Why: r.note(host, path, method, chosen)})
	}
	return notes
}

// pattern is what r matches, in one line.
func (r *route) pattern() string {
	s := r.host + r.path
	if len(r.methods) > 0 {
		s = strings.Join(r.methods, ",") + " " + s
	}
	return s
}

func (r *route) note(host, path, method string, chosen *route) string {
	name := hostName(host)
	switch {
	case r == chosen:
		return "its path is the most specific that matches, and then its host"
	case !covers(r.host, name):
		return fmt.Sprintf("its host is %s, not %s", r.host, name)
	case !r.matchesPath(path):
		return "its path does not match"
	case !r.takes(method) && chosen == nil:
		return fmt.Sprintf("its path matches, but it takes %s alone, not %s", strings.Join(r.methods, ", "), method)
	case !r.takes(method):
		return "it does not take " + method
	case chosen == nil:
		return "its path is less specific than one that does not take " + method // which answers 405
	case r.path != chosen.path:
		return fmt.Sprintf("its path is less specific than %s", chosen.path)
	case hostRank(r.host) < hostRank(chosen.host):
		return fmt.Sprintf("the same path, but its host is less specific than %s", chosen.host)
	}
	return fmt.Sprintf("the same path and host; %s names the method, or comes first", chosen.name)
}

func (r *route) takes(method string) bool {
	return len(r.methods) == 0 || slices.Contains(r.methods, method)
}

// matchesPath asks the router of r's pattern alone.
func (r *route) matchesPath(path string) bool {
	mux := chi.NewMux()
	mux.Get(r.path, http.NotFound)
	return mux.Find(chi.NewRouteContext(), http.MethodGet, path) != ""
}
