// Package fleet holds the stored responses of this instance, and its part in the state that the
// instances of a fleet share.
//
// The fleet is all instances that use the same Redis. They share the tier of stored responses, the
// history of purges, the leases by which one instance fills for all, the queued writes and the cost
// account. If no Redis is configured, the instance is alone. While Redis is away, each instance
// goes on with its own memory.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/store/shared"
)

// Member is this instance as a member of its fleet: its memory, the purges that it knows, and what
// it shares with the other instances.
type Member struct {
	Memory *store.Memory
	Epochs *store.Epochs
	// Purger purges the responses of the whole fleet.
	Purger Purger

	made      config.Stores
	redis     *redis // nil if this instance is alone
	publisher publisher
	log       *slog.Logger
}

// Purger carries out purges. It waits for the other instances no longer than wait.
type Purger interface {
	Purge(ctx context.Context, p store.Purge, wait time.Duration) (store.Report, error)
}

var (
	_ Purger = (*store.LocalPurger)(nil)
	_ Purger = (*shared.Purges)(nil)
)

// alonePatience is how long the response to a write waits for its purge if no other instance has to
// apply the purge.
const alonePatience = time.Second

// Join makes this instance a member of the fleet that cfg names. An unreachable Redis is no error:
// it is used as soon as it answers. Close leaves the fleet.
func Join(cfg config.Stores, now func() time.Time, log *slog.Logger) (*Member, error) {
	memory, err := store.NewMemory(store.MemoryConfig{Size: cfg.Memory.Size, MaxObject: cfg.Memory.MaxObject, Now: now})
	if err != nil {
		return nil, fmt.Errorf("making the memory tier: %w", err)
	}
	m := &Member{Memory: memory, Epochs: store.NewEpochs(now), made: cfg, log: log}
	m.Purger = &store.LocalPurger{Epochs: m.Epochs, Applied: memory.Purged}
	patience := alonePatience
	if cfg.Redis != nil {
		if m.redis, err = openRedis(cfg.Redis, m, now); err != nil {
			memory.Close()
			return nil, err
		}
		m.Purger, patience = m.redis.purges, 2*cfg.Redis.Timeout
	}
	m.publisher = publisher{purger: m.Purger, patience: patience, log: log}
	return m, nil
}

// Keeps returns an error if cfg differs from the configuration with which this instance has joined.
func (m *Member) Keeps(cfg config.Stores) error {
	if cfg.Memory != m.made.Memory {
		return errors.New("cache.memory can't be changed while the gateway runs: restart it")
	}
	if !reflect.DeepEqual(cfg.Redis, m.made.Redis) {
		return errors.New("cache.redis can't be changed while the gateway runs: restart it")
	}
	return nil
}

// Limits returns the configured limits of the memory.
func (m *Member) Limits() config.MemoryStore { return m.made.Memory }

// Alone reports whether this instance shares nothing with others.
func (m *Member) Alone() bool { return m.redis == nil }

// Connect sets the fields of c by which a cache uses the memory, the shared tier and the history of
// purges.
func (m *Member) Connect(c *cache.Config) {
	c.Store, c.Epochs = m.Memory, m.Epochs
	r := m.redis
	if r == nil {
		return
	}
	c.Shared, c.SharedBudget = r, m.made.Redis.Timeout
	c.Applied = func() store.Epoch { return r.purges.State().Position }
	if r.hot != nil {
		c.Used, c.UsedSample = r.hot.Used, hotSample
	}
}

// Publish purges targets that a write has changed, on all instances, and returns the moment of the
// purge. If the purge takes too long, it continues in the background, and Publish returns the zero
// Epoch.
func (m *Member) Publish(ctx context.Context, targets []store.Target) store.Epoch {
	return m.publisher.publish(ctx, targets)
}

// TakeRate charges a client of the whole fleet for a request if a limit accepts it: see
// [shared.Client.TakeRate]. It returns an error if this instance can't ask the fleet.
func (m *Member) TakeRate(ctx context.Context, client string, every time.Duration, burst int) (ok bool, wait time.Duration, err error) {
	if m.redis == nil {
		return false, 0, errAlone
	}
	return m.redis.TakeRate(ctx, client, every, burst)
}

var errAlone = errors.New("this instance is alone: cache.redis is not configured")

// Close ends purges under way, leaves the fleet and frees the memory. Work that uses any of them
// must have ended.
func (m *Member) Close() {
	m.publisher.running.Wait()
	if m.redis != nil {
		m.redis.close(m.log)
	}
	m.Memory.Close()
}

// CheckURL returns an error if the URL of a Redis is invalid. The error never quotes a part that
// may be a password.
func CheckURL(url string) error { return shared.CheckURL(url) }
