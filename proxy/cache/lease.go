package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/cache/tiers"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// holdLease takes the lease on j's fill for all instances. There are three results:
//   - the lease, which the caller must release
//   - true, if all waiting requests have their answer: the response of another instance, a stale
//     response or an error. Then the fill has nothing left to do.
//   - neither, if the fill goes on without a lease
func (c *Cache) holdLease(ctx context.Context, j *job) (tiers.Lease, bool) {
	res := j.x.res
	if !res.Coalesce.Enabled || !res.Coalesce.AcrossInstances || j.x.impatient || !c.tiers.Shares(&res.Policy) || j.key.private || c.unshareable.has(j.key) {
		return nil, false
	}
	j.ev.Lease = observe.LeaseFailed // until the lease is held or shared
	b := j.budget
	generation := j.flight.Generation()
	until := time.Now().Add(c.leaseWait(j, generation))
	for {
		lease, wait, ok := c.tiers.Acquire(ctx, j.x.key, &b, j.key.name(generation))
		switch {
		case !ok:
			return nil, false
		case lease != nil:
			// Another instance may have filled between the lookup and the lease.
			if c.landShared(ctx, j, &b) {
				c.release(ctx, lease, store.Filled)
				return nil, true
			}
			return lease, false
		}
		result, late := c.awaitLease(ctx, j, wait, until)
		b = tiers.Budget{} // the wait was for the fill, not for the tier
		switch {
		case ctx.Err() != nil:
			return nil, false
		case result == store.Filled:
			return nil, c.landShared(ctx, j, &b)
		case result == store.Unshareable:
			c.goAlone(j)
			return nil, false
		case (late || result == store.Failed) && c.landStale(j):
			return nil, true
		case late:
			// One more instance goes to the origin, and the others wait for that instance: see
			// outwait.
			if generation++; generation >= maxRounds {
				c.giveUp(j)
				return nil, true
			}
			until = time.Now().Add(c.leaseWait(j, generation))
		case result == store.Failed:
			// One of the waiting instances takes the place of the failed instance, then another.
		}
	}
}

// leaseWait returns how long j waits for another instance's fill. After this time j, or another
// waiting instance, goes to the origin as well.
func (c *Cache) leaseWait(j *job, generation int) time.Duration {
	if j.stored != nil && c.outlasts(j) {
		return staleAfter
	}
	return lockAge(j.x.res.Coalesce.Wait, generation)
}

// awaitLease waits for the end of another instance's lease and returns the result. late is true if
// the lease has not ended at the time until. Meanwhile the leader counts as waiting for another
// request's call, as its followers do.
func (c *Cache) awaitLease(ctx context.Context, j *job, wait tiers.Waiter, until time.Time) (r store.LeaseResult, late bool) {
	if j.leader != nil {
		c.waiting.Add(1)
		defer c.waiting.Add(-1)
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	step := j.ev.Step(observe.StepLeaseWait, "lease.wait")
	r = wait.For(ctx)
	j.ev.EndStep(step, nil)
	return r, r == store.Vanished && ctx.Err() != nil
}

// outlasts reports whether the stored response may be served if the origin's answer does not arrive
// in time.
func (c *Cache) outlasts(j *job) bool {
	facts := timedOut
	return j.x.res.Rules.Settle(&j.x.q, &j.stored.Meta, &facts, c.Now(), 0).Effect == cachepolicy.KeepStale
}

// landStale answers all waiting requests with the stored response. It returns false if the stored
// response may not be served while the instance that asks the origin has no answer or has failed.
func (c *Cache) landStale(j *job) bool {
	if j.stored == nil || !c.outlasts(j) {
		return false
	}
	now := c.Now()
	a := &answer{facts: cachepolicy.Answer{Failure: cachepolicy.FailureTimeout, Sent: now, Received: now, Stored: entry.HeaderOf(j.stored)}}
	c.setbacks.note(j.x.key.Hash, &a.facts)
	c.landEntry(j, j.stored, a, cachepolicy.CacheStatus{Forward: j.ForwardOf(j.d), Reason: cachepolicy.ReasonTimeout})
	return true
}

// giveUp answers all waiting requests with 503. The origin has left the maximum number of calls for
// one object unanswered, and otherwise all waiting instances would make their own calls now.
func (c *Cache) giveUp(j *job) {
	f := &deliver.Failure{Status: http.StatusServiceUnavailable, ProxyError: "connection_limit_reached", RetryAfter: 1, Detail: slowness}
	j.flight.End(flight.Failed, f)
	j.leader.give(&Reply{failure: f, outcome: cachepolicy.CacheStatus{Reason: cachepolicy.ReasonOverload}})
}

// goAlone makes the followers of j go on alone at once, because another instance has found that one
// call cannot answer them. The leader goes on with a new flight that no other request can join.
func (c *Cache) goAlone(j *job) {
	c.unshareable.add(j.key)
	j.flight.End(flight.Solo, nil)
	j.flight = c.solo(j.key)
	j.flight.Watch(j.attended.change)
}

// landShared answers all waiting requests with the response that another instance has stored
// meanwhile. It returns false if there is no newer response or it may not be used.
func (c *Cache) landShared(ctx context.Context, j *job, b *tiers.Budget) bool {
	found := c.tiers.ConsultShared(ctx, j.x.query(), b, tiers.Moment{Now: c.Now(), Jitter: c.Random()})
	c.tiers.Promote(ctx, j.x.query(), &found.Sighting)
	e, d := found.Entry, found.Decision
	if e == nil || j.stored != nil && !e.Received.After(j.stored.Received) || d.Action != cachepolicy.Serve {
		return false
	}
	j.ev.Lease = observe.LeaseShared
	out := cachepolicy.CacheStatus{Hit: true, TTL: d.TTL, HasTTL: true}
	j.flight.Announce(&landing{entry: e, decision: d, outcome: out, fill: j.ev.SpanContext()}, 0)
	j.flight.End(flight.Shared, nil)
	j.leader.give(&Reply{Entry: e, decision: d, outcome: out, tier: tiers.Redis})
	return true
}

// release gives lease back. It does so even if ctx has ended, so that the other instances learn the
// result of a cancelled fill.
func (c *Cache) release(ctx context.Context, lease tiers.Lease, r store.LeaseResult) {
	if lease == nil {
		return
	}
	if err := lease.Release(context.WithoutCancel(ctx), r); err != nil {
		c.Log.Debug("a lease was not released; it will run out", "error", err)
	}
}

// yield gives j's lease back before the end of j. It is for a response that the other instances
// cannot use, so that their requests make their own calls now. It does not keep j waiting.
func (c *Cache) yield(j *job) {
	lease := j.lease
	if lease == nil {
		return
	}
	j.lease = nil
	c.background(func(ctx context.Context) { c.release(ctx, lease, store.Unshareable) }) // if the process ends first, the lease expires
}

// share gives j's stored response to the other instances and returns the result for the lease. The
// fill calls it after this instance's own clients have their reply.
func (c *Cache) share(ctx context.Context, j *job) store.LeaseResult {
	e := j.kept
	if e == nil || !c.tiers.Shares(&j.x.res.Policy) || c.tiers.Invalidations.Since(j.x.key.Hash, j.to.Begun) || j.x.res.Changes(ctx, j.x.key) {
		return j.result
	}
	if c.tiers.Alive(j.x.key, e, c.Now()) == nil {
		return store.Failed // a purge has hit it meanwhile: it would replace a newer response
	}
	step := j.ev.Step(observe.StepRedis, "SET")
	err := c.tiers.Shared.Put(context.WithoutCancel(ctx), j.x.key, e, j.x.res.MaxVariants)
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

// forgetFenced removes from memory the response that j stored there too late. Another instance has
// a newer response, and the next request finds it.
func (c *Cache) forgetFenced(ctx context.Context, j *job) {
	if err := c.tiers.Store.Delete(ctx, j.x.key); err != nil {
		c.Log.Debug("an outdated response was not removed", "error", err)
	}
}

// name returns a name for the fills under k, which is the same in all instances. It differs for
// each kind of fill of one object. A fill that goes to the origin beside a slow one has another
// generation.
func (k *flightKey) name(generation int) string {
	name := string(k.vary) + "\x00" + k.span
	if k.cookies {
		name += "\x00cookies"
	}
	if generation > 0 {
		name += "\x00" + strconv.Itoa(generation)
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:8])
}
