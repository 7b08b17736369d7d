package fleet

import (
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/store/shared"
	"github.com/penstock/penstock/proxy/write"
	"github.com/penstock/penstock/proxy/write/file"
)

// OpenWrites returns the store of queued writes: a file of this instance if w names one, and
// otherwise the Redis of the fleet. An unusable store is no error: the gateway serves reads,
// refuses writes, and tries the store again.
func (m *Member) OpenWrites(w config.WriteQueue) write.Store {
	bounds := write.Bounds{Max: w.Max, Bytes: w.Size, Keep: w.Keep, Dead: w.Dead.Max, DeadAge: w.Dead.Age, AcceptEviction: w.AcceptEviction}
	if w.Path != "" {
		return file.OpenPersistent(w.Path, bounds, time.Now, m.log)
	}
	return shared.NewWrites(m.redis.Client, bounds)
}
