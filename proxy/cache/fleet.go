package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// Shared is the tier that the instances of a fleet have in common. All methods may be called concurrently, and none takes longer than the
// tier's own timeout. An error is a tier that can't be asked: the request goes on without it.
type Shared interface {
	// Usable reports whether the tier is worth asking: it answers, and all purges of it are known here.
	Usable() bool
	// Get returns what is stored under k, with at least the variant that q selects, or store.ErrMiss.
	Get(ctx context.Context, k cachepolicy.Key, q *cachepolicy.Request) (*store.Object, error)
	// Put stores e, unless a newer fill has stored already (store.ErrFenced).
	Put(ctx context.Context, k cachepolicy.Key, e *store.Entry, maxVariants int) error
	// Delete removes all that is stored under k.
	Delete(ctx context.Context, k cachepolicy.Key) error
	// Fence gives a token that is greater than those of all leases on the object so far: what their fills still bring comes too late.
	Fence(ctx context.Context, k cachepolicy.Key) (uint64, error)
	// Acquire takes the lease on one fill of an object, or a place in which the end of another instance's is awaited.
	Acquire(ctx context.Context, k cachepolicy.Key, flight string) (Lease, Waiter, error)
}

// Lease is the right to fill for all instances.
type Lease interface {
	// Token orders the fills of an object: that of a later lease is greater.
	Token() uint64
	// Release gives the lease back and tells those who wait what has come of it.
	Release(ctx context.Context, r store.LeaseResult) error
}

// Waiter awaits the end of another instance's lease.
type Waiter interface {
	For(ctx context.Context) store.LeaseResult
}

// shares reports whether x may use the tier that instances share.
func (c *Cache) shares(res *Resource) bool {
	return res.Tiers.Shared && c.Shared != nil && c.Shared.Usable()
}

// budgeted returns ctx with what is left of the time that x may lose to the shared tier, however many calls it makes. It is false where nothing is
// left: x goes on without the tier.
func (c *Cache) budgeted(ctx context.Context, x *exchange) (context.Context, context.CancelFunc, bool) {
	now := time.Now() // the time that passes for the client, not the clock of responses
	if x.sharedUntil.IsZero() {
		x.sharedUntil = now.Add(c.SharedBudget)
	}
	if !now.Before(x.sharedUntil) {
		return nil, nil, false
	}
	ctx, cancel := context.WithDeadlineCause(ctx, x.sharedUntil, store.ErrBudget)
	return ctx, cancel, true
}

// lookupShared is the response that x selects of what the instances share, or nil. It is taken into memory, with the life that it has left.
func (c *Cache) lookupShared(ctx context.Context, x *exchange) *store.Entry {
	bounded, cancel, ok := c.budgeted(ctx, x)
	if !ok {
		return nil
	}
	defer cancel()
	ev := observe.FromContext(ctx)
	step := ev.Step(observe.StepRedis, "GET")
	object, err := c.Shared.Get(bounded, x.key, &x.q)
	ev.EndStep(step, failed(err))
	if err != nil {
		if !errors.Is(err, store.ErrMiss) {
			x.sharedUntil = time.Now() // it says itself what ails it; this request asks it for nothing more
		}
		return nil
	}
	e := c.choose(x, object)
	if e == nil {
		return nil
	}
	e.Seq = c.serial.Add(1) // orders what this instance has stored; e has just been decoded and is known to nobody else
	if x.res.Tiers.Memory {
		if err := c.Store.Put(ctx, x.key, e, x.res.MaxVariants); err != nil {
			c.Log.Debug("a shared response was not taken into memory", "route", x.res.Rules.Route, "error", err)
		}
	}
	x.tier = tierShared
	return c.alive(x.key, e)
}

// failed is err, unless it only says that there is nothing.
func failed(err error) error {
	if errors.Is(err, store.ErrMiss) {
		return nil
	}
	return err
}

// holdLease takes the lease on j's fill for all instances. It returns the lease, which the fill releases; or true when there is nothing left to do,
// since another instance has filled and all who wait have been answered from that; or neither, when the fill goes on by itself.
func (c *Cache) holdLease(ctx context.Context, j *job) (Lease, bool) {
	res := j.x.res
	if !res.Coalesce.Enabled || !res.Coalesce.AcrossInstances || j.x.impatient || !c.shares(res) || j.key.private || c.unshareable.has(j.key) {
		return nil, false
	}
	j.ev.Lease = observe.LeaseFailed // until it is known better
	ctx, cancel := context.WithTimeout(ctx, res.Coalesce.Wait)
	defer cancel()
	x := *j.x // the leader's is its client's to change
	for ctx.Err() == nil {
		lease, wait, ok := c.acquire(ctx, &x, j.key.name())
		switch {
		case !ok:
			return nil, false
		case lease != nil:
			// Between the lookup and the lease another instance may have filled and ended.
			if c.landShared(ctx, j, &x) {
				c.release(ctx, lease, store.Filled)
				return nil, true
			}
			return lease, false
		}
		step := j.ev.Step(observe.StepLeaseWait, "lease.wait")
		result := wait.For(ctx)
		j.ev.EndStep(step, nil)
		x.sharedUntil = time.Time{} // the wait was for the fill, not for the tier
		switch result {
		case store.Filled:
			return nil, c.landShared(ctx, j, &x)
		case store.Unshareable:
			c.goAlone(j)
			return nil, false
		case store.Failed:
			return nil, false
		}
	}
	return nil, false
}

// goAlone has those who wait for j go on alone at once: another instance has found that they can't be answered from one call. The leader goes on with
// a flight that nobody else has joined.
func (c *Cache) goAlone(j *job) {
	c.unshareable.add(j.key)
	j.flight.End(flight.Solo, nil)
	j.flight = c.solo(j.key)
}

// acquire is Shared.Acquire within x's budget. It is false where the fill is to go on without the others.
func (c *Cache) acquire(ctx context.Context, x *exchange, name string) (Lease, Waiter, bool) {
	bounded, cancel, ok := c.budgeted(ctx, x)
	if !ok {
		return nil, nil, false
	}
	defer cancel()
	ev := observe.FromContext(ctx)
	step := ev.Step(observe.StepRedis, "ACQUIRE")
	lease, wait, err := c.Shared.Acquire(bounded, x.key, name)
	ev.EndStep(step, err)
	return lease, wait, err == nil
}

// landShared answers all who wait with what another instance has stored since, if that may be used. x is a copy of the leader's.
func (c *Cache) landShared(ctx context.Context, j *job, x *exchange) bool {
	e := c.lookupShared(ctx, x)
	if e == nil || j.stored != nil && !e.Received.After(j.stored.Received) {
		return false
	}
	d := j.x.res.Rules.Decide(&j.x.q, &e.Meta, c.Now(), 0)
	if d.Action != cachepolicy.Serve {
		return false
	}
	out := cachepolicy.Outcome{Hit: true, TTL: d.TTL, HasTTL: true}
	j.flight.Announce(&landing{entry: e, decision: d, outcome: out, fill: j.ev.SpanContext()}, 0)
	j.flight.End(flight.Shared, nil)
	j.leader.give(&Reply{Entry: e, decision: d, outcome: out, tier: tierShared})
	return true
}

// release gives lease back. A fill that was told to end tells the others all the same.
func (c *Cache) release(ctx context.Context, lease Lease, r store.LeaseResult) {
	if lease == nil {
		return
	}
	if err := lease.Release(context.WithoutCancel(ctx), r); err != nil {
		c.Log.Debug("a lease was not released; it will run out", "error", err)
	}
}

// share gives the instances what j has stored, after this instance's own clients have it.
func (c *Cache) share(ctx context.Context, j *job) store.LeaseResult {
	e := j.kept
	if e == nil || !c.shares(j.x.res) || c.doomed.since(j.x.key.Hash, j.to.begun) {
		return j.result
	}
	if c.alive(j.x.key, e) == nil {
		return store.Failed // purged on its way: it would take the place of what may have been stored since
	}
	step := j.ev.Step(observe.StepRedis, "SET")
	err := c.Shared.Put(context.WithoutCancel(ctx), j.x.key, e, j.x.res.MaxVariants)
	j.ev.EndStep(step, err)
	if err != nil {
		c.Log.Debug("a response was not shared", "route", j.x.res.Rules.Route, "error", err)
		if errors.Is(err, store.ErrFenced) {
			c.forgetFenced(ctx, j)
		}
		return store.Failed
	}
	return store.Filled
}

// forgetFenced takes out of memory what j has stored there too late: another instance has a newer response, which the next request finds.
func (c *Cache) forgetFenced(ctx context.Context, j *job) {
	if err := c.Store.Delete(ctx, j.x.key); err != nil {
		c.Log.Debug("an outdated response was not removed", "error", err)
	}
}

// name tells the fills of one object apart, alike in all instances.
func (k *flightKey) name() string {
	sum := sha256.Sum256([]byte(string(k.vary) + "\x00" + k.span))
	return hex.EncodeToString(sum[:8])
}

// alive is e as purges have left it: itself, with its life cut short by a soft purge, or nil.
func (c *Cache) alive(k cachepolicy.Key, e *store.Entry) *store.Entry {
	if e == nil || c.Epochs == nil {
		return e
	}
	switch fate, at := c.Epochs.FateOf(k, e); fate {
	case store.Alive:
		return e
	case store.Soft:
		return softened(e, at)
	}
	return nil
}

// softened is e with a lifetime that ended at the time of a soft purge: stale since then, with its windows after that.
func softened(e *store.Entry, at time.Time) *store.Entry {
	soft := clone(e)
	soft.Lifetime = min(e.Lifetime, max(0, at.Sub(e.Born)))
	return soft
}
