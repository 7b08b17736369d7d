package proxy

import (
	"net/http"
	"net/url"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/paginate"
	"github.com/penstock/penstock/proxy/route"
)

// compiledRoute is a route, and the stages and settings for its requests.
type compiledRoute struct {
	*route.Route
	rules    *cachepolicy.Rules
	resource *cache.Resource
	pages    *paginate.Pages // nil if the route has no pages
	stages   []edge.Stage
	handler  http.Handler // the stages, then the cache
	// keyed is true if scheme, host, path and query alone determine the key of a response.
	keyed bool
	// firstHits is true if a connection may answer a hit that the handler has not answered before.
	firstHits bool
}

// keyQuery returns the part of a query that belongs to the key.
func (rt *compiledRoute) keyQuery(raw string) string {
	if rt.pages != nil {
		if query, err := rt.pages.Query(raw); err == nil {
			raw = query
		}
	}
	return rt.rules.KeyQuery(raw)
}

// compileStages returns the stages that a request to the route passes before the cache, in order. A
// new stage is added here. The stage itself says how it treats hits, and what `penstock explain`
// tells about it.
func compileStages(cfg *config.Config, r *config.Route, rt *compiledRoute, next *generation, s *Snapshot) (stages []edge.Stage, err error) {
	allow, err := compileAllow(r, next)
	if err != nil {
		return nil, err
	}
	if allow != nil {
		stages = append(stages, edge.AllowStage(allow))
	}
	if r.RequireHTTPS != config.RequireHTTPSOff {
		https, err := edge.HTTPSStage(edge.HTTPSMode(r.RequireHTTPS))
		if err != nil {
			return nil, err
		}
		stages = append(stages, https)
	}
	if r.Limits.BodyBytes > 0 {
		stages = append(stages, edge.BodyLimitStage(int64(r.Limits.BodyBytes)))
	}
	if behind := compileBehind(cfg, r, rt.resource, s); behind != nil {
		stages = append(stages, behindStage(behind))
	}
	if rt.pages != nil {
		stages = append(stages, pagesStage(rt.pages, s.live.ahead(r, rt.resource, rt.pages)))
	}
	return stages, nil
}

// arrange puts stages before the cache, and tells the cache which hits a connection may answer
// without them.
func (rt *compiledRoute) arrange(stages []edge.Stage, s *Snapshot) {
	hits, res := edge.HitsOf(stages), rt.resource
	rt.stages, rt.handler = stages, edge.Chain(stages, s.cache.Handler(res))
	rt.firstHits = hits.First && res.Tiers.Memory
	res.Hits, res.MayHit = nil, hits.Check
	if hits.Repeated && res.Rules.Enabled {
		res.Hits = s.memo
	}
}

// keyFollowsFromURL reports whether scheme, host, path and query alone determine the key of a
// response on this route. It is false if rewriting the path can refuse a request, because a
// template may get a value that would leave its segment.
func keyFollowsFromURL(r *config.Route, res *cache.Resource) bool {
	return res.Rules.Enabled && res.Rules.KeyedByURL() && r.Rewrite.Path == ""
}

// behindStage accepts writes. Reads and their hits pass it unchanged. The cache itself knows if a
// queued write changes the response to a read.
func behindStage(accept func(http.Handler) http.Handler) edge.Stage {
	return edge.Stage{Name: "writes", Wrap: accept, OnHit: edge.Indifferent(), Explain: func(*edge.Located, *edge.Explanation) {}}
}

// pagesStage brings the query of a page into canonical form. If ahead is not nil, it gets the next
// page after each read, so no hit may bypass the stage.
func pagesStage(pages *paginate.Pages, ahead func(*http.Request, *url.URL)) edge.Stage {
	stage := edge.Stage{
		Name: "paginate", OnHit: edge.AfterHandler(),
		Wrap: func(next http.Handler) http.Handler { return pagesHandler(pages, ahead, next) },
		Explain: func(at *edge.Located, e *edge.Explanation) {
			if at.Method != http.MethodGet && at.Method != http.MethodHead {
				return
			}
			query, err := pages.Query(at.Query)
			if err != nil {
				e.Refuse(http.StatusBadRequest, err.Error())
				return
			}
			at.Query = query
		},
	}
	if ahead != nil {
		stage.OnHit = edge.Never()
	}
	return stage
}
