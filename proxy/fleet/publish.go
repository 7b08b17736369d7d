package fleet

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/store"
)

// publisher tells the fleet about purges that follow from writes.
type publisher struct {
	purger Purger
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
