package tiers

import (
	"context"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// Shared is the tier that the instances of a fleet have in common. All methods may be called
// concurrently. A call takes at most the tier's own timeout. An error means that the tier cannot be
// asked, and the request goes on without it.
type Shared interface {
	// Usable reports whether the tier is worth asking: it answers, and this instance knows all of
	// the tier's purges.
	Usable() bool
	// Get returns the responses that are stored under k, with at least the variant that q selects.
	// It returns store.ErrMiss if there is no such variant.
	Get(ctx context.Context, k cachepolicy.Key, q *cachepolicy.Request) (*store.Object, error)
	// Put stores e. It returns store.ErrFenced if a newer fill has stored its response already.
	Put(ctx context.Context, k cachepolicy.Key, e *store.Entry, maxVariants int) error
	// Delete removes all responses that are stored under k.
	Delete(ctx context.Context, k cachepolicy.Key) error
	// Fence returns a token that is greater than the tokens of all leases on the object so far.
	// Responses from fills under these leases are then too late to be stored.
	Fence(ctx context.Context, k cachepolicy.Key) (uint64, error)
	// Acquire takes the lease on one fill of an object. If another instance holds it, Acquire
	// returns a Waiter for the end of that lease instead.
	Acquire(ctx context.Context, k cachepolicy.Key, flight string) (Lease, Waiter, error)
}

// Lease is the right of one instance to fill for all instances.
type Lease interface {
	// Token orders the fills of an object: a later lease has a greater token.
	Token() uint64
	// Release gives the lease back and tells the waiting instances the result r.
	Release(ctx context.Context, r store.LeaseResult) error
}

// Waiter waits for the end of another instance's lease and returns the result of its fill.
type Waiter interface {
	For(ctx context.Context) store.LeaseResult
}

// Shares reports whether requests of a route may use the shared tier.
func (t *Tiers) Shares(p *entry.Policy) bool {
	return p.Tiers.Shared && t.Shared != nil && t.Shared.Usable()
}

// Acquire is Shared.Acquire within the budget b. ok is false if the tier failed or the budget is
// used up. The fill then goes on without the other instances.
func (t *Tiers) Acquire(ctx context.Context, k cachepolicy.Key, b *Budget, name string) (Lease, Waiter, bool) {
	bounded, cancel, err := b.bound(ctx, t.SharedBudget)
	if err != nil {
		return nil, nil, false
	}
	defer cancel()
	ev := observe.FromContext(ctx)
	step := ev.Step(observe.StepRedis, "ACQUIRE")
	lease, wait, err := t.Shared.Acquire(bounded, k, name)
	ev.EndStep(step, err)
	return lease, wait, err == nil
}
