package tiers

import (
	"context"
	"time"

	"github.com/penstock/penstock/proxy/store"
)

// Budget is the time that one request may lose to the shared tier, however many calls it makes. The
// zero value has not begun to run.
type Budget struct{ until time.Time }

// bound returns ctx bounded by the rest of b. A budget that has not begun starts with most. If
// nothing is left, bound returns store.ErrBudget, and the request goes on without the tier.
func (b *Budget) bound(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc, error) {
	now := time.Now() // the time that passes for the client, not the clock of responses
	if b.until.IsZero() {
		b.until = now.Add(most)
	}
	if !now.Before(b.until) {
		return nil, nil, store.ErrBudget
	}
	ctx, cancel := context.WithDeadlineCause(ctx, b.until, store.ErrBudget)
	return ctx, cancel, nil
}

// end uses up b.
func (b *Budget) end() { b.until = time.Now() }
