package build

import (
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/edge/rate"
)

// rateLimit returns the limit of a route that has one. The counts of its clients go on if the
// configuration in force has a route with the same name and the same `by`.
func (b *builder) rateLimit(r *config.Route) *edge.RateLimit {
	l := r.RateLimit
	by := rateKey(l.By)
	id := rateCells{r.Name, by}
	cells := b.State.rates[id]
	if cells == nil {
		cells = rate.NewTable(b.cache.Now())
	}
	b.rates[id] = cells
	limit := &edge.RateLimit{
		Limit: rate.Limit{Every: l.Rate.Every(), Burst: l.Burst}, By: by, Cells: cells, Now: b.cache.Now,
		Report: l.Mode == config.RateReport, Requests: l.Rate.Requests, Window: l.Rate.Per,
	}
	if l.Shared {
		limit.Shared = &edge.SharedRate{Name: r.Name, Take: b.takeRate, Patience: b.cfg.Cache.Redis.Timeout, Alone: b.counts.limitedAlone(r.Name)}
	}
	return limit
}

// rateCells identifies the counts of a limit over reloads.
type rateCells struct {
	route string
	by    edge.RateKey
}

// rateKey returns the property that tells the clients of a limit apart. Further properties of
// config.RateSource are added here.
func rateKey(by config.RateBy) edge.RateKey {
	switch by.Source {
	case config.RateByHeader:
		return edge.RateByField(by.Name)
	case config.RateByRoute:
		return edge.RateByRoute()
	}
	return edge.RateByClientIP()
}
