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
	"github.com/penstock/penstock/proxy/admin"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/store/shared"
)

// fleet is this instance's part in the state that all instances share: the tier in Redis, the
// history of purges, and leases. It is the cache's Shared.
type fleet struct {
	*shared.Client
	purges *shared.Purges
	leases *shared.Leases
	epochs *store.Epochs
	hot    *shared.Hot // nil if nothing is preloaded
}

var _ cache.Shared = (*fleet)(nil)

// joinFleet begins to share. An unreachable Redis is no error: the fleet uses Redis as soon as it
// answers.
func joinFleet(cfg *config.RedisStore, o Options, epochs *store.Epochs, applied func(store.Purge)) (*fleet, error) {
	client, err := shared.Dial(shared.Config{
		URL: cfg.URL, Prefix: cfg.Prefix, Timeout: cfg.Timeout, MaxObject: cfg.MaxObject, Compress: cfg.Compress, MaxCutOff: cfg.MaxCutOff,
		Now: o.Now, Log: o.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("cache.redis: %w", err)
	}
	f := &fleet{Client: client, purges: shared.NewPurges(client, epochs, applied), leases: shared.NewLeases(client), epochs: epochs}
	if cfg.Preload > 0 {
		f.hot = shared.NewHot(client, cfg.Preload)
	}
	return f, nil
}

// standing returns "" if this instance knows all purges. Otherwise it tells what their absence
// means for clients, since when, and why.
func (f *fleet) standing() (what string, since time.Time, why error) {
	doubts := f.epochs.Doubts()
	if f.purges.Current() && !doubts {
		return "", time.Time{}, nil
	}
	state := f.purges.State()
	what = "purges of other instances are not known; memory is served"
	if doubts {
		what = "purges of other instances are not known; stored responses are validated before each use"
	}
	return what, state.Since, state.Err
}

// Usable reports whether Redis answers and this instance knows all purges.
func (f *fleet) Usable() bool { return f.purges.Current() && f.Health().State == shared.Up }

// join waits until the fleet is usable. It returns false if ctx ends first.
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

// Acquire returns a lease, or a Waiter for the end of another instance's lease.
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

// Fence returns a token that is greater than the tokens of all leases on the object.
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

var (
	_ admin.Purger = (*store.LocalPurger)(nil)
	_ admin.Purger = (*shared.Purges)(nil)
)

// publisher tells the fleet about purges that follow from writes.
type publisher struct {
	purger admin.Purger
	// patience is how long the response to a write waits for the purge. If nothing is wrong, all
	// instances have applied the purge by then.
	patience time.Duration
	log      *slog.Logger
	running  sync.WaitGroup
}

// publish purges the targets and returns the moment of the purge. If that takes longer than
// patience, the purge continues in the background, and publish returns the zero Epoch.
func (pb *publisher) publish(ctx context.Context, targets []store.Target) store.Epoch {
	if len(targets) == 0 {
		return store.Epoch{}
	}
	done := make(chan store.Epoch, 1)
	ctx = context.WithoutCancel(ctx)
	pb.running.Go(func() {
		report, err := pb.purger.Purge(ctx, store.Purge{Targets: targets}, pb.patience)
		switch {
		case errors.Is(err, store.ErrUnreached): // the others learn of it when Redis is back; the log has a line about Redis already, so one for each write would add nothing
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

// preloadVariants is how many variants of a preloaded object the memory takes: all of them.
const preloadVariants = 1 << 10

// joinTime is how long a start waits for Redis if nothing is preloaded. Without the wait, the first
// requests would go to the upstreams although their responses are stored.
const joinTime = time.Second

// preload waits until Redis answers, and loads the objects that the fleet uses most into memory. It
// gives up when ctx is done.
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
			e.Epoch = l.epochs.CapToKnown(e.Epoch)
			if err := l.memory.Put(ctx, o.Key, e, preloadVariants); err != nil {
				l.log.Debug("an object was not preloaded", "error", err)
			}
		}
	})
	l.log.Info("preloaded what is used most", "objects", n, "error", err)
}

// hotSample is the sampling of hits for the list of most used objects: one in hotSample is counted.
const hotSample = 16
