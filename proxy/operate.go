package proxy

import (
	"context"
	"net/http"
	"strings"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/admin"
	"github.com/penstock/penstock/proxy/advice"
	"github.com/penstock/penstock/proxy/route"
	"github.com/penstock/penstock/proxy/write"
)

// Admin returns the operators' API of g. See [admin.New] for the token. reload does the same as a
// SIGHUP.
func (g *Gateway) Admin(token string, reload func(context.Context) error) http.Handler {
	return admin.New(admin.Config{
		Token: token, Version: g.options.Version, Reload: reload, Ready: g.readyFor, Parts: g.readiness,
		Purges: admin.Purges{
			Purger: g.live.fleet.Purger, Router: func() *route.Router { return g.snapshot.Load().router },
			Stored: g.live.fleet.Memory.All, Fate: g.live.fleet.Epochs.FateOf, Now: g.options.Now,
		},
		Writes:  func() write.Store { return g.snapshot.Load().writes },
		Costs:   admin.Costs{Now: g.Cost, Past: g.pastCost},
		Board:   g.board.Handler(),
		Metrics: g.scrapes(),
		Advise:  g.Advise,
		Explain: g.Explain,
	})
}

// Advise returns the changes of the configuration that the traffic so far suggests.
func (g *Gateway) Advise() *admin.Advice {
	e := g.evidence.Read(g.meter.Read())
	e.Since = g.options.Now().Sub(g.started)
	e.Memory.Size, e.Memory.Used, e.Memory.MaxObject = g.live.size.Size, g.live.fleet.Memory.Stats().Bytes, g.live.size.MaxObject
	return admin.Advise(&e)
}

// advisedRoutes returns the settings of the routes on which advice depends.
func advisedRoutes(cfg *config.Config) []advice.Route {
	routes := make([]advice.Route, len(cfg.Routes))
	for i, r := range cfg.Routes {
		routes[i] = advice.Route{
			Name: r.Name, Upstream: r.Upstream, Param: strings.Contains(r.Match.Path, "{"), Cached: r.Cache.Enabled, Compress: r.Compress.Enabled,
			Batched: r.Batch != nil, Paginated: r.Paginate != nil,
			CookieMode: string(r.Cache.Cookies), KeyCookies: strings.Join(r.Cache.Key.Cookies, " "), Ruled: len(r.CacheControl) > 0,
		}
	}
	return routes
}
