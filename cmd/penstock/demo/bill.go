package demo

import (
	"context"
	"fmt"
	"net/http"
)

// shopVisits is how many visits the bill is made out for, each of a page with all that it needs and of two answers that may not be cached.
const shopVisits = 40

// bill compares what the same visits cost at the gateway's configured prices: without it, all bytes leave the origin to the clients and every
// request is one to an origin; with it, they are what its cost account says (GET /api/cost), the bytes between it and the origins among them.
func bill(ctx context.Context, s *stage) (before, after Sample) {
	before = s.visit(ctx, s.direct(s.web), s.direct(s.api))
	prices := s.gateway.Cost().Prices
	before.Micros = before.Bytes*int64(prices.EgressPerGB)/1e9 + before.Calls*int64(prices.OriginPerMillionRequests)/1e6
	paid := s.gateway.Cost().Total.Spent.Micros
	after = s.visit(ctx, s.through, s.through)
	pause(ctx, 2*rateTime) // a refresh in the background is paid for too
	after.Micros = int64(s.gateway.Cost().Total.Spent.Micros - paid)
	return before, after
}

// visit has shopVisits visitors come, as browsers that accept what browsers do.
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

// million is what a million visits come to.
func million(s Sample) string {
	if s.Micros == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f USD", float64(s.Micros)/shopVisits)
}
