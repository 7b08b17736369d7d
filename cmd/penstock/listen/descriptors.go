package listen

import (
	"log/slog"

	"github.com/penstock/penstock/config"
)

const (
	// leastReserve is the minimum number of file descriptors that clients cannot use: for logs,
	// certificates, the queue's file and a few upstream connections.
	leastReserve = 64
	// redisReserve is the number of file descriptors for Redis. Its pool has eight connections per
	// processor and at least 16, and a few more connections wait for messages.
	redisReserve = 64
)

// reserve returns how many of the given file descriptors clients cannot use. It adds up the
// connections that the configuration permits to upstreams (pool.max of each target) and to Redis,
// and the listeners. The sum is bounded by half of the descriptors, because upstreams rarely reach
// their bounds all at once. An upstream without a bound counts as a quarter of the descriptors.
func reserve(cfg *config.Config, descriptors int) int {
	need := leastReserve + len(cfg.Server.Listen) + 1 // and the admin listener
	unbounded := false
	for _, u := range cfg.Upstreams {
		need += len(u.Targets) * u.Pool.Max
		unbounded = unbounded || u.Pool.Max == 0
	}
	if cfg.Cache.Redis != nil {
		need += redisReserve
	}
	if unbounded {
		need += descriptors / 4
	}
	return max(min(need, descriptors/2), min(leastReserve, descriptors-1))
}

// boundConnections returns how many client connections a process with the given number of file
// descriptors accepts; 0 descriptors means no limit. If clients could use all of them, the gateway
// could not answer these clients. boundConnections logs a warning if the result is less than the
// configured number.
func boundConnections(log *slog.Logger, cfg *config.Config, descriptors uint64) int {
	want := cfg.Server.Limits.Connections
	if descriptors == 0 || descriptors > 1<<30 {
		return want
	}
	reserved := reserve(cfg, int(descriptors))
	held := min(want, max(int(descriptors)-reserved, 1))
	if held < want {
		log.Warn("the process may open too few files for server.limits.connections, so fewer client connections are accepted; raise the limit (ulimit -n, LimitNOFILE), or lower the setting or pool.max of the upstreams",
			"connections", want, "held", held, "files", descriptors, "reserved", reserved)
	}
	return held
}
