package route

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/go-chi/chi/v5"

	"github.com/penstock/penstock/proxy/edge"
)

// Router finds the route of a request by host, path and method. It is immutable and may be used
// concurrently.
//
// Each host pattern has a mux with all routes that a request for such a host can match. So the most
// specific path wins, whatever its host pattern. If two routes have the same path, the route with
// the more specific host wins. chi finds the path pattern, and the Router then looks at the methods
// itself. If the routes of the path take other methods only, the answer is 405: the request never
// falls through to a less specific route.
type Router struct {
	exact    map[string]*hostMux
	wildcard []suffixMux // the longest suffix first
	any      *hostMux
	routes   []*Route // in the order of the configuration
	names    map[string]*Route
	contexts sync.Pool // of *chi.Context
}

// suffixMux is the mux of a wildcard host pattern.
type suffixMux struct {
	suffix string // ".example.com"
	mux    *hostMux
}

// hostMux routes the requests of one host pattern.
type hostMux struct {
	tree     *chi.Mux
	patterns map[string]*methods
	// ranked returns the patterns in the order in which tree prefers them.
	ranked func() []candidate
}

// methods are the routes of one path pattern. by has those with a list of methods, and any the
// first without.
type methods struct {
	any   *Route
	by    map[string]*Route
	allow []string
}

// Named returns the route of that name, or nil if there is no such route.
func (rt *Router) Named(name string) *Route { return rt.names[name] }

// Pattern returns the path pattern of the route of that name, or "" if there is no such route.
func (rt *Router) Pattern(name string) string {
	if r := rt.names[name]; r != nil {
		return r.Path
	}
	return ""
}

// Route says which requests a route takes, and how the router finds and names it.
type Route struct {
	// Index is the place of the route in the configuration, from 0.
	Index      int
	Name       string
	Host, Path string   // patterns; an empty host matches any
	Methods    []string // empty if the route takes every method
	Captures   bool     // true if the route needs the captured parameters of the path
	Merges     bool     // true if the route takes paths without their empty segments
	// KeyQuery returns the part of a query that belongs to the cache key.
	KeyQuery func(raw string) string
}

// New returns a Router for routes. It returns an error if a path pattern is malformed or the routes
// can't be combined.
func New(routes []*Route) (rt *Router, err error) {
	// chi reports a malformed pattern by a panic.
	defer func() {
		if p := recover(); p != nil {
			rt, err = nil, fmt.Errorf("the routes can't be combined: %v", p)
		}
	}()
	rt = &Router{exact: make(map[string]*hostMux), any: newHostMux(routes, ""), routes: routes, names: make(map[string]*Route)}
	rt.contexts.New = func() any { return chi.NewRouteContext() }
	for _, r := range routes {
		rt.names[r.Name] = r
		switch host := r.Host; {
		case host == "":
		case strings.HasPrefix(host, "*."):
			if !slices.ContainsFunc(rt.wildcard, func(s suffixMux) bool { return s.suffix == host[1:] }) {
				rt.wildcard = append(rt.wildcard, suffixMux{host[1:], newHostMux(routes, host)})
			}
		case rt.exact[host] == nil:
			rt.exact[host] = newHostMux(routes, host)
		}
	}
	slices.SortFunc(rt.wildcard, func(a, b suffixMux) int { return len(b.suffix) - len(a.suffix) })
	return rt, nil
}

// newHostMux returns the mux for one host pattern. It holds the routes that a request for such a
// host can match, and for each path the route with the most specific host comes first.
func newHostMux(routes []*Route, host string) *hostMux {
	m := &hostMux{tree: chi.NewMux(), patterns: make(map[string]*methods)}
	fitting := slices.DeleteFunc(slices.Clone(routes), func(r *Route) bool { return !covers(r.Host, host) })
	slices.SortStableFunc(fitting, func(a, b *Route) int { return hostRank(b.Host) - hostRank(a.Host) })
	for _, r := range fitting {
		set := m.patterns[r.Path]
		if set == nil {
			set = &methods{by: make(map[string]*Route)}
			m.patterns[r.Path] = set
			m.tree.Get(r.Path, http.NotFound)
		}
		set.add(r)
	}
	m.ranked = sync.OnceValue(func() []candidate { return rank(slices.Collect(maps.Keys(m.patterns))) })
	return m
}

// covers reports whether the pattern wide includes every host of the pattern narrow.
func covers(wide, narrow string) bool {
	return wide == "" || wide == narrow || strings.HasPrefix(wide, "*.") && strings.HasSuffix(narrow, wide[1:])
}

// hostRank returns a rank by which host patterns are sorted: an exact host ranks above a wildcard,
// a longer wildcard above a shorter one, and the empty host below all.
func hostRank(host string) int {
	if host != "" && !strings.HasPrefix(host, "*.") {
		return 1 << 20
	}
	return len(host)
}

// add adds r for its methods. If a route that was added before takes a method, that route keeps it.
func (m *methods) add(r *Route) {
	if len(r.Methods) == 0 {
		if m.any == nil {
			m.any = r
		}
		return
	}
	for _, method := range r.Methods {
		if m.by[method] == nil {
			m.by[method] = r
			m.allow = append(m.allow, method)
		}
	}
}

// Found is the result of routing a request.
type Found struct {
	Route *Route // nil if no route takes the request
	// Path is the form of the path that the route uses for the cache key, the origin, writes and
	// purges.
	Path string
	Miss Miss
	// Allow has the methods that the path takes, if it does not take the request's method.
	Allow []string
}

// Miss says why no route takes a request.
type Miss uint8

const (
	// Matched: a route takes the request.
	Matched Miss = iota
	// NoRoute: no route has the path.
	NoRoute
	// WrongMethod: the path has routes, and each of them takes other methods.
	WrongMethod
	// EmptySegments: the path has empty segments, and without them it would belong to another
	// route. An origin that merges slashes would see that other path.
	EmptySegments
)

// Find returns the route of a request. host is the canonical host. If p is not nil and the route
// needs the parameters of the path, Find puts them into p.
func (rt *Router) Find(host, path, method string, p *Params) Found {
	mux := rt.mux(host)
	if strings.Contains(path, "//") {
		form, ok := rt.form(mux, path, method)
		if !ok {
			return Found{Path: path, Miss: EmptySegments}
		}
		path = form
	}
	ctx := rt.context()
	defer rt.release(ctx)
	set := mux.lookup(ctx, path)
	if set == nil {
		return Found{Path: path, Miss: NoRoute}
	}
	r := set.of(method)
	if r == nil {
		return Found{Path: path, Miss: WrongMethod, Allow: set.allow}
	}
	if p != nil && r.Captures {
		p.take(ctx)
	}
	return Found{Route: r, Path: path}
}

// form returns the form in which the router takes a path with empty segments: as the client sent
// it, or without the empty segments if the route of that merged path says so. An origin may read
// one form as the other. ok is false if the two forms lead to different routes, because a client
// must not reach a path through a route that does not guard it.
func (rt *Router) form(mux *hostMux, path, method string) (form string, ok bool) {
	merged := edge.MergeSlashes(path)
	came, other := rt.lookup(mux, path), rt.lookup(mux, merged)
	if other != nil {
		if r := other.of(method); r != nil && r.Merges {
			return merged, true
		}
	}
	return path, came == other || came == nil
}

// lookup returns the routes of the pattern that path matches, or nil if no pattern matches.
func (rt *Router) lookup(mux *hostMux, path string) *methods {
	ctx := rt.context()
	defer rt.release(ctx)
	return mux.lookup(ctx, path)
}

func (rt *Router) context() *chi.Context { return rt.contexts.Get().(*chi.Context) }

func (rt *Router) release(ctx *chi.Context) {
	ctx.Reset()
	rt.contexts.Put(ctx)
}

// of returns the route for a method, or nil if no route takes it.
func (m *methods) of(method string) *Route {
	if r := m.by[method]; r != nil {
		return r
	}
	return m.any
}

// mux returns the mux of the most specific host pattern that matches host.
func (rt *Router) mux(host string) *hostMux {
	name := hostName(host)
	if m := rt.exact[name]; m != nil {
		return m
	}
	for _, w := range rt.wildcard {
		if strings.HasSuffix(name, w.suffix) {
			return w.mux
		}
	}
	return rt.any
}

// hostName returns a canonical host without its port.
func hostName(host string) string {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.HasSuffix(host, "]") {
		return host
	}
	return host[:i]
}
