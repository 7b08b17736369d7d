package fleet

import (
	"context"
	"time"

	"github.com/penstock/penstock/proxy/store"
)

// preloadVariants is how many variants of a preloaded object the memory takes: all of them.
const preloadVariants = 1 << 10

// joinTime is how long a start waits for Redis if nothing is preloaded. Without the wait, the first
// requests would go to the upstreams although their responses are stored.
const joinTime = time.Second

// Preload waits until Redis answers, and loads the objects that the fleet uses most into memory if
// the configuration asks for it. It gives up when ctx is done.
func (m *Member) Preload(ctx context.Context) {
	if m.redis == nil {
		return
	}
	if m.redis.hot == nil {
		ctx, cancel := context.WithTimeout(ctx, joinTime)
		defer cancel()
		m.redis.join(ctx)
		return
	}
	if !m.redis.join(ctx) {
		m.log.Warn("nothing is preloaded: Redis does not answer in time")
		return
	}
	n, err := m.redis.hot.Load(ctx, func(o *store.Object) {
		for _, e := range o.Variants {
			e.Epoch = m.Epochs.CapToKnown(e.Epoch)
			if err := m.Memory.Put(ctx, o.Key, e, preloadVariants); err != nil {
				m.log.Debug("an object was not preloaded", "error", err)
			}
		}
	})
	m.log.Info("preloaded what is used most", "objects", n, "error", err)
}

// hotSample is the sampling of hits for the list of most used objects: one in hotSample is counted.
const hotSample = 16
