// Package board is what operators look at: figures of the last hour, the slowest requests, and the page that shows them.
//
// It counts nothing itself: a [Board] reads what the gateway counts ([observe.Meter]) once a second and keeps the differences, in seconds for five
// minutes and in tens of seconds for an hour, which takes a bounded amount of memory however many routes there are. What it can't read there (upstreams,
// tiers, the cost account) it is handed as functions.
//
// # The API
//
// All of it is JSON on the admin listener, behind the admin token where there is one. Times are RFC 3339 in UTC, or milliseconds since 1970 where a
// field's name ends in _ms and it is a moment of a series; durations are in milliseconds. A ratio is null where there was nothing to divide.
//
//	GET /api/stats?window=10s             one reading: [Stats]; window from 1s to 1h
//	GET /api/stats/history?window=5m      a series: [Series]; window from 10s to 1h, &route=NAME for one route
//	GET /api/stats/stream?window=10s      text/event-stream: an event "stats" each second, whose data is a [Stats]
//	GET /api/slow                         the slowest requests of the last hour: [SlowList]
//	GET /api/cost?month=2026-11           the cost account; left out: of the current month
//
// This package knows nothing of configuration and decides nothing about requests.
package board
