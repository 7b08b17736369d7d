package fill

import (
	"context"
	"errors"
	"net/http"
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
func (fl *Filler) holdLease(ctx context.Context, j *Job) (tiers.Lease, bool) {
	res := j.Request.Route
	if !res.Coalesce.Enabled || !res.Coalesce.AcrossInstances || j.Request.Impatient || !fl.Tiers.Shares(&res.Policy) || j.key.private || fl.HitForMiss.Has(j.key) {
		return nil, false
	}
	j.Event.Lease = observe.LeaseFailed // until the lease is held or shared
	b := j.budget
	generation := j.flight.Generation()
	until := time.Now().Add(fl.leaseWait(j, generation))
	for {
		lease, wait, ok := fl.Tiers.Acquire(ctx, j.Request.Key, &b, j.key.name(generation))
		switch {
		case !ok:
			return nil, false
		case lease != nil:
			// Another instance may have filled between the lookup and the lease.
			if fl.announceShared(ctx, j, &b) {
				fl.release(ctx, lease, store.Filled)
				return nil, true
			}
			return lease, false
		}
		result, late := fl.awaitLease(ctx, j, wait, until)
		b = tiers.Budget{} // the wait was for the fill, not for the tier
		switch {
		case ctx.Err() != nil:
			return nil, false
		case result == store.Filled:
			return nil, fl.announceShared(ctx, j, &b)
		case result == store.Unshareable:
			fl.goAlone(j)
			return nil, false
		case (late || result == store.Failed) && fl.announceStale(j):
			return nil, true
		case late:
			// One more instance goes to the origin, and the others wait for that instance: see
			// outwait.
			if generation++; generation >= MaxRounds {
				fl.giveUp(j)
				return nil, true
			}
			until = time.Now().Add(fl.leaseWait(j, generation))
		case result == store.Failed:
			// One of the waiting instances takes the place of the failed instance, then another.
		}
	}
}

// leaseWait returns how long j waits for another instance's fill. After this time j, or another
// waiting instance, goes to the origin as well.
func (fl *Filler) leaseWait(j *Job, generation int) time.Duration {
	if j.Stored != nil && fl.outlasts(j) {
		return StaleAfter
	}
	return LockAge(j.Request.Route.Coalesce.Wait, generation)
}

// awaitLease waits for the end of another instance's lease and returns the result. late is true if
// the lease has not ended at the time until. Meanwhile the leader counts as waiting for another
// request's call, as its followers do.
func (fl *Filler) awaitLease(ctx context.Context, j *Job, wait tiers.Waiter, until time.Time) (r store.LeaseResult, late bool) {
	if j.Leader != nil {
		fl.Waiting.Add(1)
		defer fl.Waiting.Add(-1)
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	step := j.Event.Step(observe.StepLeaseWait, "lease.wait")
	r = wait.For(ctx)
	j.Event.EndStep(step, nil)
	return r, r == store.Vanished && ctx.Err() != nil
}

// outlasts reports whether the stored response may be served if the origin's answer does not arrive
// in time.
func (fl *Filler) outlasts(j *Job) bool {
	facts := TimedOut
	return j.Request.Route.Rules.Settle(&j.Request.View, &j.Stored.Meta, &facts, fl.Now(), 0).Effect == cachepolicy.KeepStale
}

// announceStale answers all waiting requests with the stored response. It returns false if the stored
// response may not be served while the instance that asks the origin has no answer or has failed.
func (fl *Filler) announceStale(j *Job) bool {
	if j.Stored == nil || !fl.outlasts(j) {
		return false
	}
	now := fl.Now()
	a := &Answer{Facts: cachepolicy.Answer{Failure: cachepolicy.FailureTimeout, Sent: now, Received: now, Stored: entry.HeaderOf(j.Stored)}}
	fl.Failures.Note(j.Request.Key.Hash, &a.Facts)
	fl.announceStored(j, j.Stored, a, cachepolicy.CacheStatus{Forward: j.ForwardOf(j.Decision), Reason: cachepolicy.ReasonTimeout})
	return true
}

// giveUp answers all waiting requests with 503. The origin has left the maximum number of calls for
// one object unanswered, and otherwise all waiting instances would make their own calls now.
func (fl *Filler) giveUp(j *Job) {
	f := &deliver.Failure{Status: http.StatusServiceUnavailable, ProxyError: "connection_limit_reached", RetryAfter: 1, Detail: TooSlow}
	j.flight.End(flight.Failed, f)
	j.Leader.Give(&Reply{Failure: f, Status: cachepolicy.CacheStatus{Reason: cachepolicy.ReasonOverload}})
}

// goAlone makes the followers of j go on alone at once, because another instance has found that one
// call cannot answer them. The leader goes on with a new flight that no other request can join.
func (fl *Filler) goAlone(j *Job) {
	fl.HitForMiss.add(j.key)
	j.flight.End(flight.Solo, nil)
	j.flight = fl.Solo(j.key)
	j.flight.Watch(j.attended.change)
}

// announceShared answers all waiting requests with the response that another instance has stored
// meanwhile. It returns false if there is no newer response or it may not be used.
func (fl *Filler) announceShared(ctx context.Context, j *Job, b *tiers.Budget) bool {
	found := fl.Tiers.ConsultShared(ctx, j.Request.Query(), b, tiers.Moment{Now: fl.Now(), Jitter: fl.Random()})
	fl.Tiers.Promote(ctx, j.Request.Query(), &found.Sighting)
	e, d := found.Entry, found.Decision
	if e == nil || j.Stored != nil && !e.Received.After(j.Stored.Received) || d.Action != cachepolicy.Serve {
		return false
	}
	j.Event.Lease = observe.LeaseShared
	out := cachepolicy.CacheStatus{Hit: true, TTL: d.TTL, HasTTL: true}
	j.flight.Announce(&Inflight{Entry: e, Decision: d, Status: out, Fill: j.Event.SpanContext()}, 0)
	j.flight.End(flight.Shared, nil)
	j.Leader.Give(&Reply{Entry: e, Decision: d, Status: out, Tier: tiers.Redis})
	return true
}

// release gives lease back. It does so even if ctx has ended, so that the other instances learn the
// result of a cancelled fill.
func (fl *Filler) release(ctx context.Context, lease tiers.Lease, r store.LeaseResult) {
	if lease == nil {
		return
	}
	if err := lease.Release(context.WithoutCancel(ctx), r); err != nil {
		fl.Log.Debug("a lease was not released; it will run out", "error", err)
	}
}

// yield gives j's lease back before the end of j. It is for a response that the other instances
// cannot use, so that their requests make their own calls now. It does not keep j waiting.
func (fl *Filler) yield(j *Job) {
	lease := j.lease
	if lease == nil {
		return
	}
	j.lease = nil
	fl.Tasks.Go(func(ctx context.Context) { fl.release(ctx, lease, store.Unshareable) }) // if the process ends first, the lease expires
}

// share gives j's stored response to the other instances and returns the result for the lease. The
// fill calls it after this instance's own clients have their reply.
func (fl *Filler) share(ctx context.Context, j *Job) store.LeaseResult {
	e := j.Kept
	if e == nil || !fl.Tiers.Shares(&j.Request.Route.Policy) || fl.Tiers.Invalidations.Since(j.Request.Key.Hash, j.to.Begun) || j.Request.Route.Changes(ctx, j.Request.Key) {
		return j.result
	}
	if fl.Tiers.Alive(j.Request.Key, e, fl.Now()) == nil {
		return store.Failed // a purge has hit it meanwhile: it would replace a newer response
	}
	step := j.Event.Step(observe.StepRedis, "SET")
	err := fl.Tiers.Shared.Put(context.WithoutCancel(ctx), j.Request.Key, e, j.Request.Route.MaxVariants)
	j.Event.EndStep(step, err)
	if err != nil {
		fl.Log.Debug("a response was not shared", "route", j.Request.Route.Rules.Route, "error", err)
		if errors.Is(err, store.ErrFenced) {
			fl.forgetFenced(ctx, j)
		}
		return store.Failed
	}
	return store.Filled
}

// forgetFenced removes from memory the response that j stored there too late. Another instance has
// a newer response, and the next request finds it.
func (fl *Filler) forgetFenced(ctx context.Context, j *Job) {
	if err := fl.Tiers.Store.Delete(ctx, j.Request.Key); err != nil {
		fl.Log.Debug("an outdated response was not removed", "error", err)
	}
}
