// Package board provides the operator's view: the figures of the last hour, the slowest requests,
// and the page that shows them.
//
// It counts nothing itself. A [Board] reads the gateway's counters ([observe.Meter]) once a second
// and keeps the differences: for five minutes per second, for an hour per ten seconds. Its memory
// is bounded whatever the number of routes. Other data (upstreams, tiers, the cost account) comes
// from functions in its Config.
//
// # The API
//
// All of it is JSON on the admin listener, and requires the admin token if there is one. Times are
// RFC 3339 in UTC. In a series, times are milliseconds since 1970, in fields whose names end in
// _ms. Durations are in milliseconds. A ratio is null if its denominator is 0.
//
//	GET /api/stats?window=10s             one reading: [Stats]; window from 1s to 1h
//	GET /api/stats/history?window=5m      a series: [Series]; window from 10s to 1h, &route=NAME for one route
//	GET /api/stats/stream?window=10s      text/event-stream: an event "stats" each second, whose data is a [Stats]
//	GET /api/slow                         the slowest requests of the last hour: [SlowList]
//	GET /api/cost?month=2026-11           the cost account; by default of the current month
//
// This package knows nothing of the configuration and decides nothing about requests.
package board
