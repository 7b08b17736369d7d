package proxy

import (
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/paginate"
	"github.com/penstock/penstock/proxy/rawjson"
)

const (
	// maxPage is the size up to which pages are looked into.
	maxPage = 4 << 20
	// prefetchSlots is how many prefetches of one route are under way at most.
	prefetchSlots = 4
)

// pagesOf says how a route's lists come.
func pagesOf(cfg *config.Config, r *config.Route) *paginate.Pages {
	p := r.Paginate
	next, err := rawjson.ParsePath(p.Cursor.Next)
	pages := &paginate.Pages{
		LimitParam: p.Limit.Param, Default: p.Limit.Default, Max: p.Limit.Max, OwnPath: r.Rewrite == (config.Rewrite{}),
		MaxBytes: min(maxPage, cfg.Cache.Memory.MaxObject), Depth: maxDepth, Next: next,
	}
	if p.LinkHeader && err == nil {
		pages.CursorParam = p.Cursor.Param
	}
	return pages
}

// compilePages puts what names and fetches the next page around a route's upstream.
func compilePages(cfg *config.Config, r *config.Route, res *cache.Resource) {
	pages := pagesOf(cfg, r)
	res.Origin = pages.Origin(res.Origin)
	if r.Paginate.Prefetch > 0 {
		res.Prefetch = &cache.Prefetch{Next: pages.Follow, Pages: r.Paginate.Prefetch, Slots: make(chan struct{}, prefetchSlots)}
	}
}
