package build

import (
	"net/http"
	"slices"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/paginate"
	"github.com/penstock/penstock/proxy/route"
	"github.com/penstock/penstock/proxy/snapshot"
	"github.com/penstock/penstock/proxy/upstream"
)

// compiledRoute is a route as requests use it, and what other routes need to know of it.
type compiledRoute struct {
	*snapshot.Route
	config  *config.Route
	rewrite cache.Target    // nil if the path goes upstream unchanged
	pages   *paginate.Pages // nil if the route has no pages
}

// keyQuery returns the part of a query that belongs to the key.
func (rt *compiledRoute) keyQuery(raw string) string {
	if rt.pages != nil {
		if query, err := rt.pages.Query(raw); err == nil {
			raw = query
		}
	}
	return rt.Resource.Rules.KeyQuery(raw)
}

// route compiles a route, apart from its links to other routes.
func (b *builder) route(r *config.Route) (*compiledRoute, error) {
	res, err := b.resource(r)
	if err != nil {
		return nil, err
	}
	rewrite, err := compileRewrite(r)
	if err != nil {
		return nil, err
	}
	pages, err := compilePages(b.cfg, r)
	if err != nil {
		return nil, err
	}
	if pages != nil {
		tagPages(&res.Tags, r.Name)
	}
	captures := r.Rewrite.Path != "" || res.Tags.Expand != nil || len(r.Writes.Targets) > 0 || r.Writes.OrderBy != "" || r.Aggregate != nil || r.Batch != nil || pages != nil || namesCaptures(r)
	found := &route.Route{Name: r.Name, Host: r.Match.Host, Path: r.Match.Path, Methods: r.Match.Methods, Captures: captures, Merges: r.MergeSlashes}
	rt := &compiledRoute{
		Route:  &snapshot.Route{Route: found, Resource: res, Keyed: keyFollowsFromURL(r, res)},
		config: r, rewrite: rewrite, pages: pages,
	}
	rt.KeyQuery = rt.keyQuery
	stages, err := b.stages(r, rt)
	if err != nil {
		return nil, err
	}
	rt.Arrange(stages, b.cache, b.memo)
	return rt, nil
}

// resource returns the cache's settings for a route.
func (b *builder) resource(r *config.Route) (*cache.Resource, error) {
	origin, err := b.origin(r)
	if err != nil {
		return nil, err
	}
	rules := compileRules(r)
	origin, respond, err := compileHeaders(r, rules, origin)
	if err != nil {
		return nil, err
	}
	target, err := compileRewrite(r)
	if err != nil {
		return nil, err
	}
	res := &cache.Resource{
		Route: fill.Route{
			Policy: entry.Policy{
				Rules: rules, Tiers: compileTiers(r), Tags: compileTags(r, b.log), MaxVariants: r.Cache.Vary.MaxVariants, MaxObject: b.cfg.Cache.Memory.MaxObject,
			},
			Origin: origin, Respond: respond, Unattended: b.unattended(r.Upstream),
			Coalesce: fill.Coalesce{
				Enabled: r.Coalesce.Enabled, MaxWaiters: r.Coalesce.MaxWaiters, Wait: r.Coalesce.Wait, AcrossInstances: r.Coalesce.AcrossInstances,
			},
		},
		Target: ownFields(r, b.named, target), CORS: compileCORS(r),
	}
	if res.Errors, err = compileErrors(r, res, b.cache); err != nil {
		return nil, err
	}
	if batch := b.batches[r.Name]; batch != nil {
		batch.resource = res
	}
	if r.Upgrade != config.UpgradeOff {
		res.Upgrade = string(r.Upgrade)
	}
	if r.Compress.Enabled {
		res.Compress, res.AcceptEncoding = compileCompress(r)
	}
	return res, nil
}

// origin returns the source of a route's responses.
func (b *builder) origin(r *config.Route) (http.RoundTripper, error) {
	if r.Aggregate != nil {
		return b.aggregate(r)
	}
	if r.Batch != nil {
		return b.batch(r)
	}
	pages, err := compilePages(b.cfg, r)
	if err != nil {
		return nil, err
	}
	pool, err := compileLocated(b.cfg, r, b.bound(r, r.Upstream))
	if err != nil {
		return nil, err
	}
	return b.linkedPages(r, pages, pool), nil
}

// bound returns the pool of the named upstream with the timeouts of a route.
func (b *builder) bound(r *config.Route, name string) http.RoundTripper {
	t := r.Timeouts
	return upstream.Bound(b.Pools[name], upstream.Bounds{FirstByte: t.FirstByte, Idle: t.Idle, Total: t.Total})
}

// unattended returns the allowance of the upstream of that name. It is nil if the route has no
// single upstream, because its calls go to several.
func (b *builder) unattended(name string) *fill.Allowance {
	if p := b.Pools[name]; p != nil {
		return p.Unattended
	}
	return nil
}

func compileTiers(r *config.Route) entry.Tiers {
	return entry.Tiers{Memory: slices.Contains(r.Cache.Tiers, config.TierMemory), Shared: slices.Contains(r.Cache.Tiers, config.TierRedis)}
}
