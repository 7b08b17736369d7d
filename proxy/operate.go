package proxy

import (
	"context"
	"net/http"

	"github.com/penstock/penstock/proxy/admin"
	"github.com/penstock/penstock/proxy/observe"
)

// Admin returns the operators' API of g. See [admin.New] for the token. reload does the same as a
// SIGHUP.
func (g *Gateway) Admin(token string, reload func(context.Context) error) http.Handler {
	return admin.New(admin.Config{
		Token: token, Version: g.options.Version, Reload: reload, Ready: g.readyFor, Parts: g.readiness,
		Purges: admin.Purges{
			Purger: g.live.fleet.Purger, Router: g.Router,
			Stored: g.live.fleet.Memory.All, Fate: g.live.fleet.Epochs.FateOf, Now: g.options.Now,
		},
		Writes:  g.writes,
		Costs:   admin.Costs{Now: g.Cost, Past: g.pastCost},
		Board:   g.figures.Board(),
		Metrics: g.figures.Scrapes(),
		Advise:  g.Advise,
		Explain: g.Explain,
	})
}

// Advise returns the changes of the configuration that the traffic so far suggests.
func (g *Gateway) Advise() *admin.Advice { return admin.Advise(g.figures.Evidence()) }

// AddMetrics adds a source that is read with the gateway's own metrics. Callers use it for metrics
// of other packages.
func (g *Gateway) AddMetrics(source observe.Source) { g.figures.Add(source) }

// Metrics reads all metrics.
func (g *Gateway) Metrics() []observe.Family { return g.figures.Metrics() }

// Meter returns the counter of all requests. It continues over reloads.
func (g *Gateway) Meter() *observe.Meter { return g.figures.Meter() }
