package figures

import (
	"strings"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/advice"
)

// Declare tells f the routes of the configuration that is about to run, so that no request is
// counted under no route.
func (f *Figures) Declare(cfg *config.Config) {
	f.meter.Declare(routeNames(cfg)...)
	f.evidence.Declare(advisedRoutes(cfg))
	f.scraped.Store(cfg.Telemetry.Metrics.Prometheus)
}

// routeNames returns the names of routes and of their parts.
func routeNames(cfg *config.Config) []string {
	var names []string
	for _, r := range cfg.Routes {
		names = append(names, r.Name)
		if r.Aggregate == nil {
			continue
		}
		for part := range r.Aggregate.Parts {
			names = append(names, r.PartName(part))
		}
	}
	return names
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
