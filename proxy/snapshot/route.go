package snapshot

import (
	"cmp"
	"net/http"

	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/route"
)

// Route is a route, and the stages and settings for its requests.
type Route struct {
	*route.Route
	Resource *cache.Resource
	// Keyed is true if scheme, host, path and query alone determine the key of a response.
	Keyed bool

	stages  []edge.Stage
	handler http.Handler // the stages, then the cache; around them, what decorates their responses
	// firstHits is true if a connection may answer a hit that the handler has not answered before.
	firstHits bool
}

// Arrange puts stages before the cache c, and tells the cache which hits a connection may answer
// without them. memo is the memo of the Snapshot to which the route will belong.
func (rt *Route) Arrange(stages []edge.Stage, c *cache.Cache, memo *cache.HitIndex) {
	hits, res := edge.HitsOf(stages), rt.Resource
	rt.stages, rt.handler = stages, res.CORS.Decorate(edge.Chain(stages, c.Handler(res)))
	rt.firstHits = hits.First && res.Tiers.Memory
	res.Hits, res.MayHit, res.Hidden = nil, hits.Check, ""
	for _, s := range stages {
		res.Hidden = cmp.Or(res.Hidden, s.Hides)
	}
	if hits.Repeated && res.Rules.Enabled {
		res.Hits = memo
	}
}
