package build

import (
	"fmt"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/edge/addresses"
	"github.com/penstock/penstock/proxy/edge/auth"
	"github.com/penstock/penstock/proxy/edge/files"
	"github.com/penstock/penstock/proxy/edge/rate"
	"github.com/penstock/penstock/proxy/route"
	"github.com/penstock/penstock/proxy/snapshot"
)

// memoShare determines the size of the memo, which remembers where to find responses. The memo may
// take the memory for responses divided by memoShare, in addition to that memory.
const memoShare = 128

// builder compiles one configuration.
type builder struct {
	*State
	Resources
	cfg   *config.Config
	named map[string]bool // see edge.GuardConfig
	memo  *cache.HitIndex
	// batches has the routes with a batch that are compiled so far.
	batches map[string]*batchRoute
	rates   map[rateCells]*rate.Table
	files   map[string]*files.File[addresses.Set] // by path
	keys    map[string]*files.File[auth.Keys]     // by path
	sets    map[string]*auth.JWKS                 // by URL
}

// routes is the first step: it compiles each route for itself. Routes with parts come last, because
// a part may be read through another route, wherever that route stands.
func (b *builder) routes() ([]*compiledRoute, error) {
	routes := make([]*compiledRoute, len(b.cfg.Routes))
	for _, parts := range []bool{false, true} {
		for i, r := range b.cfg.Routes {
			if (r.Aggregate != nil) != parts {
				continue
			}
			compiled, err := b.route(r)
			if err != nil {
				return nil, fmt.Errorf("route %s: %w", r.Name, err)
			}
			compiled.Index = i
			routes[i] = compiled
		}
	}
	return routes, nil
}

// link is the second step: it makes the router of all routes, and tells each route which responses
// of any route a write on it changes.
func (b *builder) link(routes []*compiledRoute) (*snapshot.Snapshot, error) {
	found, served := make([]*route.Route, len(routes)), make([]*snapshot.Route, len(routes))
	for i, rt := range routes {
		found[i], served[i] = rt.Route.Route, rt.Route
	}
	router, err := route.New(found)
	if err != nil {
		return nil, err
	}
	all := &table{router: router, routes: routes, cache: b.cache, publish: b.publish}
	partsFrom := fetchesParts(b.cfg)
	for _, rt := range routes {
		rt.Resource.Invalidate, rt.Resource.Through = all.invalidation(rt, partsFrom[rt.config.Upstream]), all.through(rt.config)
	}
	return snapshot.New(snapshot.Config{
		Guard: b.guard(), Routes: served, Router: router, Cache: b.cache, Memo: b.memo, Writes: b.Writes, Tracer: b.tracer,
	}), nil
}

// guard returns the settings of the guard.
func (b *builder) guard() edge.GuardConfig {
	limits := b.cfg.Server.Limits
	return edge.GuardConfig{
		TrustedProxies: b.cfg.Server.TrustedProxies, URLBytes: int(limits.URLBytes), QueryParams: limits.QueryParams, HeaderBytes: int(limits.HeaderBytes),
		Named: b.named,
	}
}
