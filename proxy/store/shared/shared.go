// Package shared is the tier that the instances of a fleet share: a Redis server, a Sentinel group
// or a Cluster. It holds the stored responses, the history of purges, the queue of writes, and the
// leases by which one instance fills on behalf of all.
//
// It knows nothing of HTTP beyond cachepolicy.Select and makes no caching decision. No request
// fails because of Redis: every call takes at most Config.Timeout. If Redis does not answer, calls
// are skipped ([ErrOpen]) and the client probes Redis in the background until it answers; see
// [Client.Health]. A cluster is treated as one server: if one node is sick, calls to all nodes are
// skipped until it answers or its replica has taken over.
//
// # Layout
//
// An object is one hash, prefix:{hash of the key}. Its field "i" is an index of the variants, and
// each variant has a field of its own. If the bodies of a variant exceed 128 KiB, they are stored
// in keys of their own with the same hash tag, in pieces, so that no single reply is long. So an
// object lies in one slot, Redis evicts it as a whole (if a piece of a body is missing, the lookup
// is a miss), and it expires when its last variant is of no use any more, not even for validation.
//
// A lookup is one HMGET of the index and the likely variants: the one without Vary, and those that
// the request selects if the object varies on field names that this process has seen lately. The
// index then selects the variant. If that variant was not read, a second command reads it. This
// happens if the object varies on fields that are new to this process, or if one language stands in
// for another. The alternative layout is a script that receives the request's fields and searches
// the index within Redis. It always takes one round trip, but took 1.4 times as long
// (BenchmarkScript, BenchmarkAlone), because Redis spends more time on a script than on HMGET.
// Lookups that arrive together are sent together (gather.go), which makes them cheaper than GETs on
// as many connections.
//
// Changes are scripts: replacing a variant, limiting the variants, checking the fence and setting
// the expiry are one atomic step.
//
// # Redis
//
// Penstock is tested with Redis 7.0. It needs scripts and no persistence, since lost responses are
// fetched again. Set maxmemory and the policy volatile-lfu or volatile-lru: everything that may be
// evicted has an expiry, and the history of purges has none. If the policy is noeviction, a full
// Redis refuses to store, and after repeated refusals it is skipped as sick. An ACL user needs the
// commands of @hash @string @list @set @sortedset @stream @pubsub @scripting @connection, and DEL,
// EXISTS, INFO, PEXPIRE, PTTL, TIME and UNLINK, on the keys and channels prefix:*.
package shared

import (
	"log/slog"
	"time"
)

// Config names the Redis and limits the time that a request may spend on it.
type Config struct {
	URL       string        // redis://, rediss://, redis+sentinel://, redis+cluster:// (and their TLS forms); see CheckURL
	Prefix    string        // name space: instances with the same prefix share entries and purges; "": penstock
	Timeout   time.Duration // limit of a call, except for storing large entries; 0: 25ms
	MaxObject int64         // limit of the bytes of a stored body; 0: 1 MiB
	Compress  bool          // whether bodies without a content coding are compressed in Redis
	// If the instance has not read the purges for this long, it revalidates before each use; 0:
	// never.
	MaxCutOff time.Duration
	Instance  string           // unique name of this instance; "": generated
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // reports when Redis is skipped and when it is back; nil: no log
}
