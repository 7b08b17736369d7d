// Package cost keeps the account of the cost of the traffic and of the gateway's savings: bytes and
// requests by route and month (UTC). Prices are applied when the account is read, so a corrected
// price holds for the whole month.
//
// It counts nothing itself. The [Account] reads the gateway's counters ([observe.Meter]) every
// [Interval] and adds the difference to a [Keeper]: a file, or the Redis that the instances share,
// where each adds its own usage. A batch is added only once, even if it is sent again because the
// answer was lost. A killed process loses the usage since its last batch: at most that of
// [Interval] and of the time that a batch takes.
//
// Money is exact to 15 decimals and is rounded only for display. This package knows the names of
// routes, but nothing else about requests, and nothing of Redis.
package cost
