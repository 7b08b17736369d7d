// Package shared is the tier that the instances of a fleet have in common: a Redis server, a Sentinel group or a Cluster, with the stored
// responses, the history of purges, and the leases by which one instance fills for all.
package shared

import (
	"log/slog"
	"time"
)

// Config says where the Redis is and what a request may lose to it.
type Config struct {
	URL       string        // redis://, rediss://, redis+sentinel://, redis+cluster:// (and their TLS forms)
	Prefix    string        // name space: gateways with one prefix share entries and purges
	Timeout   time.Duration // a call takes no longer
	MaxObject int64         // bytes of the largest body that is stored
	Compress  bool          // bodies without a content coding are compressed in Redis
	Instance  string        // unique name of this instance; "": made up
	Now       func() time.Time
	Log       *slog.Logger
}
