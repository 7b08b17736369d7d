package demo

import (
	"context"
	"fmt"
	"net/http"
)

// shopVisits is the number of visits in the bill. Each visit is a page with all its files and two
// responses that may not be cached.
const shopVisits = 40

// bill compares the cost of the same visits at the gateway's configured prices. Without the
// gateway, all bytes go from the origin to the clients and every request reaches an origin. With
// it, the cost is taken from its cost account (GET /api/cost), which includes the bytes between the
// gateway and the origins.
func bill(ctx context.Context, s *stage) (before, after Sample) {
	before = s.visit(ctx, s.direct(s.web), s.direct(s.api))
	prices := s.gateway.Cost().Prices
	before.Micros = before.Bytes*int64(prices.EgressPerGB)/1e9 + before.Calls*int64(prices.OriginPerMillionRequests)/1e6
	paid := s.gateway.Cost().Total.Spent.Micros
	after = s.visit(ctx, s.through, s.through)
	pause(ctx, 2*rateTime) // background refreshes cost money too
	after.Micros = int64(s.gateway.Cost().Total.Spent.Micros - paid)
	return before, after
}

// visit sends the requests of shopVisits visitors, with the Accept-Encoding of a browser.
func (s *stage) visit(ctx context.Context, web, api *client) Sample {
	accept := http.Header{"Accept-Encoding": {"gzip, br, zstd"}}
	var pages, private []ask
	for range shopVisits {
		for _, f := range s.files {
			pages = append(pages, ask{f.name, accept})
		}
		private = append(private, ask{"/api/account", accept}, ask{"/api/account", accept})
	}
	calls, bytes := s.calls(), web.received.Load()
	if api != web {
		bytes += api.received.Load()
	}
	answers := append(web.all(ctx, workers, pages), api.all(ctx, workers, private)...)
	sample := summary(answers)
	sample.Calls, sample.Bytes = s.calls()-calls, web.received.Load()-bytes
	if api != web {
		sample.Bytes += api.received.Load()
	}
	return sample
}

// million returns the cost of a million visits.
func million(s Sample) string {
	if s.Micros == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f USD", float64(s.Micros)/shopVisits)
}
