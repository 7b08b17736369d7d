// Package cost keeps account of what the traffic costs and of what the gateway spares: bytes and requests by route and month (UTC), priced
// when they are asked for, so that a price that was corrected holds for the whole month.
//
// It counts nothing itself. The [Account] reads what the gateway counts ([observe.Meter]) every [Interval] and adds the difference to what a
// [Keeper] keeps: a file, or the Redis that the instances share, where each adds its own. A batch that was added is not added again, whatever
// became of the answer. What is lost when the process is killed is what was counted since the last batch: [Interval], and the time that a batch takes.
//
// Money is exact to the last of its 15 digits behind the point, and rounded once, where it is shown. This package knows nothing of requests and
// routes beyond their names, and nothing of Redis.
package cost
