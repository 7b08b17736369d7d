package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache/tiers"
	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/store/shared"
)

// redis is this instance's part in the state that all instances share: the tier in Redis, the
// history of purges, and leases. It is the cache's Shared.
type redis struct {
	*shared.Client
	purges *shared.Purges
	leases *shared.Leases
	epochs *store.Epochs
	hot    *shared.Hot // nil if nothing is preloaded
}

var _ tiers.Shared = (*redis)(nil)

// openRedis begins to share, on behalf of m. An unreachable Redis is no error: it is used as soon
// as it answers.
func openRedis(cfg *config.RedisStore, m *Member, now func() time.Time) (*redis, error) {
	client, err := shared.Dial(shared.Config{
		URL: cfg.URL, Prefix: cfg.Prefix, Timeout: cfg.Timeout, MaxObject: cfg.MaxObject, Compress: cfg.Compress, MaxCutOff: cfg.MaxCutOff,
		Now: now, Log: m.log,
	})
	if err != nil {
		return nil, fmt.Errorf("cache.redis: %w", err)
	}
	r := &redis{Client: client, purges: shared.NewPurges(client, m.Epochs, m.Memory.Purged), leases: shared.NewLeases(client), epochs: m.Epochs}
	if cfg.Preload > 0 {
		r.hot = shared.NewHot(client, cfg.Preload)
	}
	return r, nil
}

// standing returns "" if this instance knows all purges. Otherwise it tells what their absence
// means for clients, since when, and why.
func (r *redis) standing() (what string, since time.Time, why error) {
	doubts := r.epochs.Doubts()
	if r.purges.Current() && !doubts {
		return "", time.Time{}, nil
	}
	state := r.purges.State()
	what = "purges of other instances are not known; memory is served"
	if doubts {
		what = "purges of other instances are not known; stored responses are validated before each use"
	}
	return what, state.Since, state.Err
}

// Usable reports whether Redis answers and this instance knows all purges.
func (r *redis) Usable() bool { return r.purges.Current() && r.Health().State == shared.Up }

// join waits until the fleet is usable. It returns false if ctx ends first.
func (r *redis) join(ctx context.Context) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !r.Usable() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// Acquire returns a lease, or a Waiter for the end of another instance's lease.
func (r *redis) Acquire(ctx context.Context, k cachepolicy.Key, flight string) (tiers.Lease, tiers.Waiter, error) {
	lease, wait, err := r.leases.Acquire(ctx, k, flight)
	switch {
	case err != nil:
		return nil, nil, err
	case lease != nil:
		return lease, nil, nil
	}
	return nil, wait, nil
}

// Fence returns a token that is greater than the tokens of all leases on the object.
func (r *redis) Fence(ctx context.Context, k cachepolicy.Key) (uint64, error) {
	return r.leases.Fence(ctx, k)
}

// close leaves the fleet.
func (r *redis) close(log *slog.Logger) {
	ends := []func() error{r.leases.Close, r.purges.Close, r.Client.Close}
	if r.hot != nil {
		ends = append([]func() error{r.hot.Close}, ends...)
	}
	for _, end := range ends {
		if err := end(); err != nil {
			log.Debug("leaving the fleet", "error", err)
		}
	}
}
