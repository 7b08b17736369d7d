package route

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
)

// Note says whether a route was chosen for a request, and why.
type Note struct {
	Name   string
	Match  string // the methods, host and path that the route matches, in one line
	Chosen bool
	Why    string
}

// Notes explains the choice of a route. It returns a Note for each route, in the order of the
// configuration. chosen is nil if no route takes the request.
func (rt *Router) Notes(host, path, method string, chosen *Route) []Note {
	var notes []Note
	for _, r := range rt.routes {
		notes = append(notes, Note{Name: r.Name, Match: r.pattern(), Chosen: r == chosen, Why: r.note(host, path, method, chosen)})
	}
	return notes
}

// pattern returns the methods, host and path that r matches, in one line.
func (r *Route) pattern() string {
	s := r.Host + r.Path
	if len(r.Methods) > 0 {
		s = strings.Join(r.Methods, ",") + " " + s
	}
	return s
}

func (r *Route) note(host, path, method string, chosen *Route) string {
	name := hostName(host)
	switch {
	case r == chosen:
		return "its path is the most specific that matches, and then its host"
	case !covers(r.Host, name):
		return fmt.Sprintf("its host is %s, not %s", r.Host, name)
	case !r.matchesPath(path):
		return "its path does not match"
	case !r.takes(method) && chosen == nil:
		return fmt.Sprintf("its path matches, but it takes %s alone, not %s", strings.Join(r.Methods, ", "), method)
	case !r.takes(method):
		return "it does not take " + method
	case chosen == nil:
		return "its path is less specific than one that does not take " + method // and the more specific path answers 405
	case r.Path != chosen.Path:
		return fmt.Sprintf("its path is less specific than %s", chosen.Path)
	case hostRank(r.Host) < hostRank(chosen.Host):
		return fmt.Sprintf("the same path, but its host is less specific than %s", chosen.Host)
	}
	return fmt.Sprintf("the same path and host; %s names the method, or comes first", chosen.Name)
}

func (r *Route) takes(method string) bool {
	return len(r.Methods) == 0 || slices.Contains(r.Methods, method)
}

// matchesPath reports whether r's path pattern matches path, with no regard to other routes.
func (r *Route) matchesPath(path string) bool {
	return rank([]string{r.Path})[0].matches(chi.NewRouteContext(), path)
}
