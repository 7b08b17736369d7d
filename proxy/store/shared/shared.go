// Package shared is the tier that the instances of a fleet have in common: a Redis server, a Sentinel group or a Cluster, with the stored
// responses, the history of purges, and the leases by which one instance fills for all.
//
// It knows nothing of HTTP beyond cachepolicy.Select and decides nothing about reuse. No request fails because of Redis: every call takes at most
// Config.Timeout, and while Redis does not answer it is skipped ([ErrOpen]) and probed in the background until it does; [Client.Health] tells. In a
// cluster that goes for the whole of it: one sick node has all of them skipped until it answers or its replica has taken over.
//
// # Layout
//
// An object is one hash, prefix:{hash of the key}: the field "i" is an index of its variants, each variant has a field of its own. Bodies of more than
// 128 KiB are in keys of their own with the same hash tag, in pieces that no single reply is long with. So an object is in one slot, Redis evicts it as
// one thing (a lost piece of a body makes it a miss), and it expires when the last of its variants is of no use any more, not even for validation.
//
// A lookup is one HMGET: of the index, of the variant that does not vary, and of those that q selects if the object varies on what others, seen
// lately, varied on. The index then says which of them answers; when none does although there is one, a second command reads it, which happens when
// something varies on fields that nothing here has varied on before, or when a language stands in for another. The other layout that was measured is
// a script that is sent all that the request says and looks through the index within Redis: it always takes one round trip, and took 1.4 times the
// time of this one (BenchmarkScript, BenchmarkAlone), since Redis spends more on a script than on HMGET. Lookups that come together go together
// (gather.go), which makes them cheaper than the GETs of as many connections.
//
// Changes are scripts: replacing a variant, the limit of variants, the fence and the expiry are one step.
//
// # Redis
//
// It is tested with version 7.0. It needs scripts and no persistence: what is lost is fetched again. Give it maxmemory and the policy volatile-lfu or
// volatile-lru: all that may be evicted has an expiry, and the history of purges has none. With noeviction a full Redis refuses to store, and is
// skipped as sick when it does so again and again. An ACL user needs the commands of @hash @string @list @set @sortedset @stream @pubsub @scripting
// @connection, and DEL, EXISTS, INFO, PEXPIRE, PTTL, TIME and UNLINK, on the keys and the channels prefix:*.
package shared

import (
	"log/slog"
	"time"
)

// Config says where the Redis is and what a request may lose to it.
type Config struct {
	URL       string           // redis://, rediss://, redis+sentinel://, redis+cluster:// (and their TLS forms); see CheckURL
	Prefix    string           // name space: gateways with one prefix share entries and purges; "": penstock
	Timeout   time.Duration    // a call takes no longer, but for storing what is large; 0: 25ms
	MaxObject int64            // bytes of the largest body that is stored; 0: 1 MiB
	Compress  bool             // bodies without a content coding are compressed in Redis
	Instance  string           // unique name of this instance; "": made up
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // is told when Redis is skipped and when it is back; nil: nobody is
}
