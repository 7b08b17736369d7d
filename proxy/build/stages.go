package build

import (
	"net/http"
	"net/url"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/edge/auth"
	"github.com/penstock/penstock/proxy/paginate"
)

// stages returns the stages that a request to the route passes before the cache, in order. A new
// stage is added here. The stage itself says how it treats hits, and what `penstock explain` tells
// about it.
func (b *builder) stages(r *config.Route, rt *compiledRoute) (stages []edge.Stage, err error) {
	allow, err := b.allow(r)
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
	if cors := rt.Resource.CORS; cors != nil {
		stages = append(stages, edge.CORSStage(cors))
	}
	credentials, err := b.auth(r)
	if err != nil {
		return nil, err
	}
	if credentials != nil {
		stages = append(stages, auth.Stage(credentials))
	}
	if r.RateLimit != nil {
		stages = append(stages, edge.RateLimitStage(b.rateLimit(r)))
	}
	if credentials != nil {
		stages = append(stages, auth.TakeOff(credentials))
	}
	if r.Limits.BodyBytes > 0 {
		stages = append(stages, edge.BodyLimitStage(int64(r.Limits.BodyBytes)))
	}
	if behind := b.behind(r, rt.Resource); behind != nil {
		stages = append(stages, behindStage(behind))
	}
	if rt.pages != nil {
		stages = append(stages, pagesStage(rt.pages, b.ahead(r, rt.Resource, rt.pages)))
	}
	return stages, nil
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
