package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/store/shared"
)

// fleet is this instance's part in what all instances share: the tier in Redis, the history of purges, and leases. It is the cache's Shared.
type fleet struct {
	*shared.Client
	purges *shared.Purges
	leases *shared.Leases
	hot    *shared.Hot // nil: nothing is preloaded
}

var _ cache.Shared = (*fleet)(nil)

// joinFleet begins to share. That Redis can't be reached is no error: it is used when it can.
func joinFleet(cfg *config.RedisStore, o Options, epochs *store.Epochs, applied func(store.Purge)) (*fleet, error) {
	client, err := shared.Dial(shared.Config{
		URL: cfg.URL, Prefix: cfg.Prefix, Timeout: cfg.Timeout, MaxObject: cfg.MaxObject, Compress: cfg.Compress, Now: o.Now, Log: o.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("cache.redis: %w", err)
	}
	f := &fleet{Client: client, purges: shared.NewPurges(client, epochs, applied), leases: shared.NewLeases(client)}
	if cfg.Preload > 0 {
		f.hot = shared.NewHot(client, cfg.Preload)
	}
	return f, nil
}

// Usable reports whether Redis answers and all purges are known.
func (f *fleet) Usable() bool { return f.purges.Current() && f.Health().State == shared.Up }

// join waits until it is usable, and reports whether it came to that before ctx was done.
func (f *fleet) join(ctx context.Context) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !f.Usable() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// Acquire takes a lease, or a place to wait for the end of another's.
func (f *fleet) Acquire(ctx context.Context, k cachepolicy.Key, flight string) (cache.Lease, cache.Waiter, error) {
	lease, wait, err := f.leases.Acquire(ctx, k, flight)
	switch {
	case err != nil:
		return nil, nil, err
	case lease != nil:
		return lease, nil, nil
	}
	return nil, wait, nil
}

// Fence gives a token that is greater than those of all leases on the object.
func (f *fleet) Fence(ctx context.Context, k cachepolicy.Key) (uint64, error) {
	return f.leases.Fence(ctx, k)
}

// close leaves the fleet.
func (f *fleet) close(log *slog.Logger) {
	ends := []func() error{f.leases.Close, f.purges.Close, f.Client.Close}
	if f.hot != nil {
		ends = append([]func() error{f.hot.Close}, ends...)
	}
	for _, end := range ends {
		if err := end(); err != nil {
			log.Debug("leaving the fleet", "error", err)
		}
	}
}

// purger carries out purges, on this instance or on all that share its cache. It waits for the others no longer than wait; 0 leaves that to it.
type purger interface {
	Purge(ctx context.Context, p store.Purge, wait time.Duration) (store.Report, error)
}

var (
	_ purger = (*store.LocalPurger)(nil)
	_ purger = (*shared.Purges)(nil)
)

// publisher makes purges that follow from writes known to the fleet.
type publisher struct {
	purger purger
	// patience is how long a write's answer waits for the purge: long enough for all instances to have applied it where nothing is wrong.
	patience time.Duration
	log      *slog.Logger
	running  sync.WaitGroup
}

// publish has the targets purged and returns the moment of it. Where that takes longer than patience it goes on in the background, and the moment
// is not known.
func (pb *publisher) publish(ctx context.Context, targets []store.Target) store.Epoch {
	if len(targets) == 0 {
		return store.Epoch{}
	}
	done := make(chan store.Epoch, 1)
	ctx = context.WithoutCancel(ctx)
	pb.running.Go(func() {
		report, err := pb.purger.Purge(ctx, store.Purge{Targets: targets}, pb.patience)
		switch {
		case errors.Is(err, store.ErrUnreached): // they are told when Redis is back, and that it is away has been logged: a line for each write adds nothing
			pb.log.Debug("a write's invalidation has yet to reach the other instances", "error", err)
		case err != nil:
			pb.log.Warn("a write's invalidation failed", "error", err)
		}
		done <- report.Epoch
	})
	timer := time.NewTimer(pb.patience)
	defer timer.Stop()
	select {
	case at := <-done:
		return at
	case <-timer.C:
		return store.Epoch{}
	}
}

// preloadVariants is how many variants of a preloaded object memory takes: all there are.
const preloadVariants = 1 << 10

// joinTime is how long a start waits for Redis where nothing is preloaded. Without it, what came first would go to the upstreams though it is stored.
const joinTime = time.Second

// preload waits until Redis answers, and takes the objects that the fleet uses most into memory. It gives up when ctx is done.
func (l *live) preload(ctx context.Context) {
	if l.fleet == nil {
		return
	}
	if l.fleet.hot == nil {
		ctx, cancel := context.WithTimeout(ctx, joinTime)
		defer cancel()
		l.fleet.join(ctx)
		return
	}
	if !l.fleet.join(ctx) {
		l.log.Warn("nothing is preloaded: Redis does not answer in time")
		return
	}
	n, err := l.fleet.hot.Load(ctx, func(o *store.Object) {
		for _, e := range o.Variants {
			if err := l.memory.Put(ctx, o.Key, e, preloadVariants); err != nil {
				l.log.Debug("an object was not preloaded", "error", err)
			}
		}
	})
	l.log.Info("preloaded what is used most", "objects", n, "error", err)
}

// hotSample is one in how many hits is counted for the list of what is used most.
const hotSample = 16
