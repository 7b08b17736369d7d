package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/go-chi/chi/v5"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/paginate"
)

// router finds the route of a request by host, path and method. It is immutable and may be used concurrently.
//
// Each host pattern has a mux with all routes that a request for such a host can match, so that the most specific path wins whatever its
// host pattern; of two routes with one path the one with the more specific host does. chi finds the pattern, the methods are looked at
// here: a path that is routed for other methods is 405, never another, less specific route.
type router struct {
	exact    map[string]*hostMux
	wildcard []suffixMux // the longest suffix first
	any      *hostMux
	routes   []*route  // in the order of the configuration
	contexts sync.Pool // of *chi.Context
}

type suffixMux struct {
	suffix string // ".example.com"
	mux    *hostMux
}

// hostMux routes the requests of one host pattern.
type hostMux struct {
	tree     *chi.Mux
	patterns map[string]*methods
}

// methods are the routes of one path pattern.
type methods struct {
	any   *route
	by    map[string]*route
	allow []string
	// refuse answers other methods; it is set once all routes are in.
	refuse http.Handler
}

// pattern is the path pattern of the route of that name; "": there is none.
func (t *router) pattern(name string) string {
	if i := slices.IndexFunc(t.routes, func(r *route) bool { return r.name == name }); i >= 0 {
		return t.routes[i].path
	}
	return ""
}

// route is a compiled route.
type route struct {
	name     string
	host     string
	path     string
	methods  []string
	captures bool // its handler needs what the path pattern captured
	direct   bool // where its responses are can be told without its handler
	https    bool // requests that came otherwise are not answered from the cache
	rules    *cachepolicy.Rules
	resource *cache.Resource
	pages    *paginate.Pages // nil: none
	handler  http.Handler
	explain  http.Handler // like handler, but it only says what that would do
}

// keyQuery is what the key has of a query.
func (r *route) keyQuery(raw string) string {
	if r.pages != nil {
		if query, err := r.pages.Query(raw); err == nil {
			raw = query
		}
	}
	return r.rules.KeyQuery(raw)
}

func newRouter(routes []*route) (rt *router, err error) {
	// chi says what is wrong with a pattern by a panic.
	defer func() {
		if p := recover(); p != nil {
			rt, err = nil, fmt.Errorf("the routes can't be combined: %v", p)
		}
	}()
	rt = &router{exact: make(map[string]*hostMux), any: newHostMux(routes, ""), routes: routes}
	rt.contexts.New = func() any { return chi.NewRouteContext() }
	for _, r := range routes {
		switch host := r.host; {
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

// newHostMux has the routes that a request for a host of the given pattern can match, the most specific host first for each path.
func newHostMux(routes []*route, host string) *hostMux {
	m := &hostMux{tree: chi.NewMux(), patterns: make(map[string]*methods)}
	fitting := slices.DeleteFunc(slices.Clone(routes), func(r *route) bool { return !covers(r.host, host) })
	slices.SortStableFunc(fitting, func(a, b *route) int { return hostRank(b.host) - hostRank(a.host) })
	for _, r := range fitting {
		set := m.patterns[r.path]
		if set == nil {
			set = &methods{by: make(map[string]*route)}
			m.patterns[r.path] = set
			m.tree.Get(r.path, http.NotFound)
		}
		set.add(r)
	}
	for _, set := range m.patterns {
		set.refuse = edge.MethodNotAllowed(set.allow)
	}
	return m
}

// covers reports whether every host of the pattern narrow is one of the pattern wide.
func covers(wide, narrow string) bool {
	return wide == "" || wide == narrow || strings.HasPrefix(wide, "*.") && strings.HasSuffix(narrow, wide[1:])
}

// hostRank orders host patterns: exact before wildcard, a longer wildcard before a shorter one, all before none.
func hostRank(host string) int {
	if host != "" && !strings.HasPrefix(host, "*.") {
		return 1 << 20
	}
	return len(host)
}

func (m *methods) add(r *route) {
	if len(r.methods) == 0 {
		if m.any == nil {
			m.any = r
		}
		return
	}
	for _, method := range r.methods {
		if m.by[method] == nil {
			m.by[method] = r
			m.allow = append(m.allow, method)
		}
	}
}

// find gives the route for a request, or else what is to refuse it: nil for a path without a route.
// params, which may be nil, is given what the pattern captured.
func (rt *router) find(host, path, method string, params func(*chi.Context)) (*route, http.Handler) {
	ctx := rt.contexts.Get().(*chi.Context)
	defer func() {
		ctx.Reset()
		rt.contexts.Put(ctx)
	}()
	mux := rt.mux(host)
	set := mux.patterns[mux.tree.Find(ctx, http.MethodGet, path)]
	if set == nil {
		return nil, nil
	}
	r := set.by[method]
	if r == nil {
		r = set.any
	}
	if r == nil {
		return nil, set.refuse
	}
	if params != nil && r.captures {
		params(ctx)
	}
	return r, nil
}

func (rt *router) mux(host string) *hostMux {
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

// hostName is a canonical host without its port.
func hostName(host string) string {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.HasSuffix(host, "]") {
		return host
	}
	return host[:i]
}
