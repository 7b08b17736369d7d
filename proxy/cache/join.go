package cache

import (
	"context"
	"errors"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/cache/tiers"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/store"
)

// join leads or follows the flight that fetches the response for x. A nil reply tells the caller to
// look x up again.
func (c *Cache) join(x *request) *fill.Reply {
	k := c.fills.FlightKey(&x.Request, x.plan.known())
	if !x.res.Coalesce.Enabled || c.fills.HitForMiss.Has(k) {
		return c.lead(x, c.fills.Solo(k), k)
	}
	f, lead, err := c.fills.Flights.Join(k, x.res.Coalesce.MaxWaiters)
	switch {
	case errors.Is(err, flight.ErrTooManyWaiters):
		return c.overloaded(x, fill.TooManyWaiters)
	case lead:
		return c.lead(x, f, k)
	default:
		return c.follow(x, f, k)
	}
}

// lead starts f's fill in the background. It then waits for the fill's reply or for the client to
// leave. The fill goes on without the client.
func (c *Cache) lead(x *request, f *fill.Flight, k fill.FlightKey) *fill.Reply {
	if reply := c.lookAgain(x); reply != nil {
		// Each follower looks for itself: a response that suits this request may not suit that one.
		f.End(flight.Done, nil)
		return reply
	}
	// Failures are checked in the same way: the calls of other requests may have failed since x
	// stopped waiting. A leader sees all these failures, because those calls ended before it could
	// lead.
	if x.rounds > 0 {
		if shared := c.fills.Failures.Repeated(x.Key.Hash, c.Now()); shared != nil {
			f.End(flight.Retry, shared)
			return c.fate(x, shared)
		}
	}
	x.plan.alone = c.fills.HitForMiss.Has(k)
	j := x.job(f, k)
	j.Leader = fill.NewHandover()
	if !c.tasks.Go(func(ctx context.Context) { c.fills.Fill(ctx, j) }) {
		f.End(flight.Retry, fill.ErrClosed)
		return &fill.Reply{Failure: &deliver.Failure{Status: http.StatusServiceUnavailable, Detail: fill.ErrClosed.Error()}}
	}
	return c.await(x, j.Leader)
}

// lookAgain looks x up once more if a response was stored under its key since the lookup. If that
// response may be used, it returns the reply with it. Otherwise it brings the plan up to date and
// returns nil.
//
// Another flight may have ended between the lookup and the joining: request B misses, A's flight
// stores and ends, B joins and leads. Without a second lookup B would ask the origin for the
// response that A has just stored. If no response was stored in between, a second lookup would find
// nothing new.
func (c *Cache) lookAgain(x *request) *fill.Reply {
	p := &x.plan
	if c.tiers.Revisions.Of(x.Key.Hash) == p.revision {
		return nil
	}
	now := c.tiers.ConsultMemory(x.Ctx, x.Query(), c.moment(x))
	if now.Entry == nil {
		return nil
	}
	switch now.Decision.Action {
	case cachepolicy.Serve, cachepolicy.ServeAndRefresh:
		p.take(&now, tiers.Memory)
		return x.hit(now.Entry, now.Decision)
	case cachepolicy.Fetch, cachepolicy.Revalidate:
		p.take(&now, tiers.Memory)
	}
	return nil
}

// await waits for the reply of the call that x has made, or for x's client to leave. The call goes
// on without the client. If the stored response may be served on errors, the client waits no longer
// than followers of a pending call do, and then gets the stored response.
func (c *Cache) await(x *request, call *fill.Handover) *fill.Reply {
	ctx := x.Ctx
	why, mayStay := c.mayStay(&x.located, x.plan.entry, x.plan.decision, &fill.TimedOut)
	if mayStay {
		bounded, cancel := context.WithTimeout(x.Ctx, fill.StaleAfter)
		defer cancel()
		ctx = bounded
	}
	reply := call.Wait(ctx, x.interim)
	switch {
	case reply != nil && reply.Response != nil:
		fill.EndWith(x.Ctx, reply.Response)
		return reply
	case reply != nil:
		return reply
	case mayStay && x.Ctx.Err() == nil:
		return c.unawaited(x, why)
	}
	return gone(x.Ctx)
}

// unawaited returns the reply with the stored response for a client that has waited long enough for
// its own call. The request was forwarded, and Cache-Status says so. The fill reports the result of
// the call.
func (c *Cache) unawaited(x *request, why cachepolicy.Reason) *fill.Reply {
	e := x.plan.entry
	stale := x.res.StaleDecision(e, c.Now(), why)
	x.ev.Action = stale.Action.String()
	return &fill.Reply{Entry: e, Decision: stale, Status: cachepolicy.CacheStatus{
		Forward: x.plan.ForwardOf(x.plan.decision), TTL: stale.TTL, HasTTL: true, Reason: why,
	}}
}

// follow waits for the head of f's response and takes that response if x may share it.
func (c *Cache) follow(x *request, f *fill.Flight, k fill.FlightKey) *fill.Reply {
	wait := fill.LockAge(x.res.Coalesce.Wait, f.Generation()) - f.Age()
	if _, ok := c.mayStay(&x.located, x.plan.entry, x.plan.decision, &fill.TimedOut); ok {
		wait = min(wait, fill.StaleAfter-f.Age())
	}
	ctx, cancel := context.WithTimeout(x.Ctx, max(0, wait))
	defer cancel()
	c.fills.Waiting.Add(1)
	l, outcome, err := f.Head(ctx)
	c.fills.Waiting.Add(-1)
	if outcome == flight.Shared && err == nil {
		if c.purged(x, f, l) {
			f.Leave() // the flight began before a purge that this request comes after
			return c.restart(x, k, flight.Done, nil)
		}
		if c.staleBefore(x, l) {
			f.Close()
			f.Leave()
			// This joins a flight whose response comes after x, so that it is not too old for x.
			return c.join(x)
		}
		mine := x.res.Rules.Shares(&x.View, l.Meta())
		if mine && l.Meta().Vary.Matches(&x.View) {
			return c.collapse(x, f, l)
		}
		f.Leave()
		if !mine {
			return c.lead(x, c.fills.Solo(k), k)
		}
		return c.regroup(x, k, l)
	}
	switch {
	case x.Ctx.Err() != nil:
		f.Leave()
		return gone(x.Ctx)
	case outcome == flight.Retry && err != nil && err == context.Cause(ctx): // the wait itself timed out
		return c.outwait(x, f, k)
	}
	f.Leave()
	switch outcome {
	case flight.Failed:
		return c.fate(x, deliver.FailureOf(err))
	case flight.Solo:
		return c.lead(x, c.fills.Solo(k), k)
	}
	return c.restart(x, k, outcome, err)
}

// outwait handles a follower of f that has waited as long as it may. It serves a stale copy if the
// follower may have one. Otherwise one of the followers that time out at this moment goes to the
// origin, and the others wait for the first response. If all went at once, they would be a herd on
// an origin that is already slow.
func (c *Cache) outwait(x *request, f *fill.Flight, k fill.FlightKey) *fill.Reply {
	defer f.Leave()
	if stale, ok := c.staleFor(&x.located, x.plan.entry, x.plan.decision, &fill.TimedOut); ok {
		x.ev.Action = stale.Action.String()
		return x.hit(x.plan.entry, stale)
	}
	if x.rounds++; x.rounds > fill.MaxRounds {
		return c.overloaded(x, fill.TooSlow)
	}
	next, lead, err := f.Succeed(x.res.Coalesce.MaxWaiters)
	switch {
	case err != nil:
		return c.overloaded(x, fill.TooManyWaiters)
	case next == nil:
		return nil // f has just ended
	case lead:
		return c.lead(x, next, k)
	}
	return c.follow(x, next, k)
}

// fate returns the reply to a request that shares the failure of the call that it has waited for.
func (c *Cache) fate(x *request, f *deliver.Failure) *fill.Reply {
	outcome := cachepolicy.CacheStatus{Forward: x.plan.ForwardOf(x.plan.decision), Collapsed: true}
	if f.Page != nil {
		return &fill.Reply{Response: f.Page.Response(), Status: outcome}
	}
	return &fill.Reply{Failure: f, Status: outcome}
}

// restart has x look again after a flight that ended without a response for it. One of the waiting
// requests leads the next flight with a request of its own, so that one client's request cannot
// spoil the answers of the others. If flight after flight ends so, x shares the failure of the last
// one. err is the reason for that failure, or nil. If all waiting requests went on alone, they
// would be a herd on an origin that is already in trouble.
func (c *Cache) restart(x *request, k fill.FlightKey, outcome flight.Outcome, err error) *fill.Reply {
	if x.rounds++; x.rounds < fill.MaxRounds {
		return nil
	}
	if outcome == flight.Done { // the stored response does not suit x
		return c.lead(x, c.fills.Solo(k), k)
	}
	if f, ok := errors.AsType[*deliver.Failure](err); ok && !f.Gone {
		return c.fate(x, f)
	}
	return c.fate(x, &deliver.Failure{
		Status: http.StatusBadGateway, ProxyError: "proxy_internal_error", RetryAfter: 1, Detail: "the call that this request waited for came to nothing",
	})
}

// regroup joins the flight of x's own variant. The response's Vary is now known, so that requests
// for the same variant find each other. If the origin varies on other fields with each response, x
// goes on alone.
func (c *Cache) regroup(x *request, from fill.FlightKey, l *fill.Inflight) *fill.Reply {
	x.plan.Vary, x.plan.VaryMiss = l.Meta().Vary, true
	if k := c.fills.FlightKey(&x.Request, x.plan.known()); x.regrouped || k == from {
		return c.lead(x, c.fills.Solo(k), k)
	}
	x.regrouped = true
	return c.join(x)
}

// collapse answers x from the fill of another request.
func (c *Cache) collapse(x *request, f *fill.Flight, l *fill.Inflight) *fill.Reply {
	outcome := l.Status
	outcome.Collapsed = true
	x.ev.Follows(l.Fill)
	if l.Entry == nil {
		src := l.Open(&x.Request, f)
		f.Leave()
		return &fill.Reply{Inflight: l, Source: src, Status: outcome}
	}
	f.Leave()
	if l.Instead != nil && x.res.Rules.Settle(&x.View, &l.Entry.Meta, &l.Instead.Facts, c.Now(), 0).Effect != cachepolicy.KeepStale {
		outcome.HasTTL, outcome.Reason = false, cachepolicy.ReasonNone
		return &fill.Reply{Failure: l.Instead.Failure(), Status: outcome}
	}
	return &fill.Reply{Entry: l.Entry, Decision: l.Decision, Status: outcome}
}

// overloaded answers a request that must not wait. detail gives the reason. It serves the stale
// response if the rules allow that, and fails otherwise.
func (c *Cache) overloaded(x *request, detail string) *fill.Reply {
	if e := x.plan.entry; e != nil {
		now := c.Now()
		a := cachepolicy.Answer{Failure: cachepolicy.FailureOverload, Sent: now, Received: now, Stored: entry.HeaderOf(e)}
		if v := x.res.Rules.Settle(&x.View, &e.Meta, &a, now, 0); v.Effect == cachepolicy.KeepStale {
			return x.hit(e, x.res.StaleDecision(e, now, v.Reason))
		}
	}
	return &fill.Reply{
		Failure: &deliver.Failure{
			Status: http.StatusServiceUnavailable, ProxyError: "connection_limit_reached", RetryAfter: 1,
			Detail: detail,
		},
		Status: cachepolicy.CacheStatus{Reason: cachepolicy.ReasonOverload},
	}
}

// staleBefore reports whether the response that l is streaming became stale before x came. A
// response that is stale from the beginning may still answer the requests that have waited for it
// (RFC 9111 §4).
func (c *Cache) staleBefore(x *request, l *fill.Inflight) bool {
	return l.Entry == nil && x.ev.Start.After(l.Facts.Received) && !l.Facts.Fresh(c.Now())
}

// purged reports whether l, the response of f, is or may be older than a purge that applies to it
// and that x comes after. If this instance may have missed purges, that holds for each response that
// was asked for before x came.
func (c *Cache) purged(x *request, f *fill.Flight, l *fill.Inflight) bool {
	epochs := c.tiers.Epochs
	if epochs == nil {
		return false
	}
	if epochs.Doubts() && f.Age() >= c.Now().Sub(x.ev.Start) {
		return true
	}
	if l.Entry != nil { // the flight's leader judged it at its lookup, which may be long ago
		return c.tiers.Alive(x.Key, l.Entry, c.Now()) == nil
	}
	fate, _ := epochs.SubjectFate(l.Epoch, store.SubjectOf(x.Key, l.Draft.Tags))
	return fate != store.Alive
}
