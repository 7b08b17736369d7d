package cache

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/cache/tiers"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/store"
)

// flightKey identifies the requests that may share one call to the origin.
type flightKey struct {
	object [16]byte
	// vary tells variants apart. It is empty until the fields that the responses vary on are known.
	vary cachepolicy.Vary
	// span is the request's Range field and its condition: a request for other bytes gets another
	// response.
	span string
	// private is true if the request has credentials. Such a request does not wait for a response
	// that is probably for another client, and requests without credentials do not wait for its
	// response.
	private bool
	// cookies is true if the request's cookies keep it from sharing responses that are not declared
	// reusable. Requests without cookies share them.
	cookies bool
	// epoch is the moment of the object's last invalidation. A request that comes after it must not
	// be answered from a call made before it.
	epoch uint64
	// serial is set for a flight that no other request may join.
	serial uint64
}

// flightKey returns the key of x's flight if responses vary on the fields of known.
func (c *Cache) flightKey(x *request, known cachepolicy.Vary) flightKey {
	return flightKey{
		object: x.key.Hash, vary: known.For(&x.q), span: x.span(),
		private: len(x.r.Header["Authorization"]) > 0, cookies: !x.res.Rules.Shares(&x.q, &cachepolicy.Meta{}), epoch: c.tiers.Invalidations.Last(x.key.Hash),
	}
}

// span returns the part of the representation that x asks for, "" for all of it.
func (x *request) span() string {
	ranges := x.r.Header["Range"]
	if len(ranges) == 0 {
		return ""
	}
	return strings.Join(ranges, ",") + "\n" + strings.Join(x.r.Header["If-Range"], ",")
}

// join leads or follows the flight that fetches the response for x. A nil reply tells the caller to
// look x up again.
func (c *Cache) join(x *exchange) *Reply {
	k := c.flightKey(&x.request, x.plan.known())
	if !x.res.Coalesce.Enabled || c.unshareable.has(k) {
		return c.lead(x, c.solo(k), k)
	}
	f, lead, err := c.flights.Join(k, x.res.Coalesce.MaxWaiters)
	switch {
	case errors.Is(err, flight.ErrTooManyWaiters):
		return c.crowded(x, crowd)
	case lead:
		return c.lead(x, f, k)
	default:
		return c.follow(x, f, k)
	}
}

// solo starts a flight for k that no other request joins.
func (c *Cache) solo(k flightKey) *fillFlight {
	k.serial = c.tiers.NextSeq()
	f, _, _ := c.flights.Join(k, 1) // a new serial always leads
	return f
}

// lead starts f's fill in the background. It then waits for the fill's reply or for the client to
// leave. The fill goes on without the client.
func (c *Cache) lead(x *exchange, f *fillFlight, k flightKey) *Reply {
	if reply := c.lookAgain(x); reply != nil {
		// Each follower looks for itself: a response that suits this request may not suit that one.
		f.End(flight.Done, nil)
		return reply
	}
	// Failures are checked in the same way: the calls of other requests may have failed since x
	// stopped waiting. A leader sees all these failures, because those calls ended before it could
	// lead.
	if x.rounds > 0 {
		if shared := c.setbacks.hopeless(x.key.Hash, c.Now()); shared != nil {
			f.End(flight.Retry, shared)
			return c.fate(x, shared)
		}
	}
	x.plan.alone = c.unshareable.has(k)
	j := x.job(f, k)
	j.leader = newHandover()
	if !c.background(func(ctx context.Context) { c.fill(ctx, j) }) {
		f.End(flight.Retry, errClosed)
		return &Reply{failure: &deliver.Failure{Status: http.StatusServiceUnavailable, Detail: errClosed.Error()}}
	}
	return c.await(x, j.leader)
}

// lookAgain looks x up once more if a response was stored under its key since the lookup. If that
// response may be used, it returns the reply with it. Otherwise it brings the plan up to date and
// returns nil.
//
// Another flight may have ended between the lookup and the joining: request B misses, A's flight
// stores and ends, B joins and leads. Without a second lookup B would ask the origin for the
// response that A has just stored. If no response was stored in between, a second lookup would find
// nothing new.
func (c *Cache) lookAgain(x *exchange) *Reply {
	p := &x.plan
	if c.tiers.Revisions.Of(x.key.Hash) == p.revision {
		return nil
	}
	now := c.tiers.ConsultMemory(x.ctx, x.query(), c.moment(x))
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
func (c *Cache) await(x *exchange, call *handover) *Reply {
	ctx := x.ctx
	why, mayStay := c.mayStay(&x.request, x.plan.entry, x.plan.decision, &timedOut)
	if mayStay {
		bounded, cancel := context.WithTimeout(x.ctx, staleAfter)
		defer cancel()
		ctx = bounded
	}
	reply := call.wait(ctx, x.interim)
	switch {
	case reply != nil && reply.response != nil:
		tie(x.ctx, reply.response)
		return reply
	case reply != nil:
		return reply
	case mayStay && x.ctx.Err() == nil:
		return c.unawaited(x, why)
	}
	return gone(x.ctx)
}

// unawaited returns the reply with the stored response for a client that has waited long enough for
// its own call. The request was forwarded, and Cache-Status says so. The fill reports the result of
// the call.
func (c *Cache) unawaited(x *exchange, why cachepolicy.Reason) *Reply {
	e := x.plan.entry
	stale := x.res.StaleDecision(e, c.Now(), why)
	x.ev.Action = stale.Action.String()
	return &Reply{Entry: e, decision: stale, outcome: cachepolicy.CacheStatus{
		Forward: x.plan.ForwardOf(x.plan.decision), TTL: stale.TTL, HasTTL: true, Reason: why,
	}}
}

// follow waits for the head of f's response and takes that response if x may share it.
func (c *Cache) follow(x *exchange, f *fillFlight, k flightKey) *Reply {
	wait := lockAge(x.res.Coalesce.Wait, f.Generation()) - f.Age()
	if _, ok := c.mayStay(&x.request, x.plan.entry, x.plan.decision, &timedOut); ok {
		wait = min(wait, staleAfter-f.Age())
	}
	ctx, cancel := context.WithTimeout(x.ctx, max(0, wait))
	defer cancel()
	c.waiting.Add(1)
	l, outcome, err := f.Head(ctx)
	c.waiting.Add(-1)
	if outcome == flight.Shared && err == nil {
		if c.purged(x.key, l) {
			f.Leave() // the flight began before a purge that this request comes after
			return c.restart(x, k, flight.Done, nil)
		}
		if c.outlived(x, l) {
			f.Close()
			f.Leave()
			// This joins a flight whose response comes after x, so that it is not too old for x.
			return c.join(x)
		}
		mine := x.res.Rules.Shares(&x.q, l.meta())
		if mine && l.meta().Vary.Matches(&x.q) {
			return c.collapse(x, f, l)
		}
		f.Leave()
		if !mine {
			return c.lead(x, c.solo(k), k)
		}
		return c.regroup(x, k, l)
	}
	switch {
	case x.ctx.Err() != nil:
		f.Leave()
		return gone(x.ctx)
	case outcome == flight.Retry && err != nil && err == context.Cause(ctx): // the wait itself timed out
		return c.outwait(x, f, k)
	}
	f.Leave()
	switch outcome {
	case flight.Failed:
		return c.fate(x, deliver.FailureOf(err))
	case flight.Solo:
		return c.lead(x, c.solo(k), k)
	}
	return c.restart(x, k, outcome, err)
}

// maxRounds is the number of flights that a request waits for. After so many, another wait has
// little hope.
const maxRounds = 3

// lockAge returns the age that a flight must reach before one more request goes to the origin
// beside it. Each successor is given twice the time, so that an origin that hangs gets few calls.
func lockAge(wait time.Duration, generation int) time.Duration {
	return wait << min(generation, maxRounds-1)
}

// outwait handles a follower of f that has waited as long as it may. It serves a stale copy if the
// follower may have one. Otherwise one of the followers that time out at this moment goes to the
// origin, and the others wait for the first response. If all went at once, they would be a herd on
// an origin that is already slow.
func (c *Cache) outwait(x *exchange, f *fillFlight, k flightKey) *Reply {
	defer f.Leave()
	if stale, ok := c.staleFor(&x.request, x.plan.entry, x.plan.decision, &timedOut); ok {
		x.ev.Action = stale.Action.String()
		return x.hit(x.plan.entry, stale)
	}
	if x.rounds++; x.rounds > maxRounds {
		return c.crowded(x, slowness)
	}
	next, lead, err := f.Succeed(x.res.Coalesce.MaxWaiters)
	switch {
	case err != nil:
		return c.crowded(x, crowd)
	case next == nil:
		return nil // f has just ended
	case lead:
		return c.lead(x, next, k)
	}
	return c.follow(x, next, k)
}

// fate returns the reply to a request that shares the failure of the call that it has waited for.
func (c *Cache) fate(x *exchange, f *deliver.Failure) *Reply {
	outcome := cachepolicy.CacheStatus{Forward: x.plan.ForwardOf(x.plan.decision), Collapsed: true}
	if f.Page != nil {
		return &Reply{response: f.Page.Response(), outcome: outcome}
	}
	return &Reply{failure: f, outcome: outcome}
}

// restart has x look again after a flight that ended without a response for it. One of the waiting
// requests leads the next flight with a request of its own, so that one client's request cannot
// spoil the answers of the others. If flight after flight ends so, x shares the failure of the last
// one. err is the reason for that failure, or nil. If all waiting requests went on alone, they
// would be a herd on an origin that is already in trouble.
func (c *Cache) restart(x *exchange, k flightKey, outcome flight.Outcome, err error) *Reply {
	if x.rounds++; x.rounds < maxRounds {
		return nil
	}
	if outcome == flight.Done { // the stored response does not suit x
		return c.lead(x, c.solo(k), k)
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
func (c *Cache) regroup(x *exchange, from flightKey, l *landing) *Reply {
	x.plan.Vary, x.plan.VaryMiss = l.meta().Vary, true
	if k := c.flightKey(&x.request, x.plan.known()); x.regrouped || k == from {
		return c.lead(x, c.solo(k), k)
	}
	x.regrouped = true
	return c.join(x)
}

// collapse answers x from the fill of another request.
func (c *Cache) collapse(x *exchange, f *fillFlight, l *landing) *Reply {
	outcome := l.outcome
	outcome.Collapsed = true
	x.ev.Follows(l.fill)
	if l.entry == nil {
		src := l.open(&x.request, f)
		f.Leave()
		return &Reply{landing: l, source: src, outcome: outcome}
	}
	f.Leave()
	if l.instead != nil && x.res.Rules.Settle(&x.q, &l.entry.Meta, &l.instead.facts, c.Now(), 0).Effect != cachepolicy.KeepStale {
		outcome.HasTTL, outcome.Reason = false, cachepolicy.ReasonNone
		return &Reply{failure: l.instead.failure(), outcome: outcome}
	}
	return &Reply{Entry: l.entry, decision: l.decision, outcome: outcome}
}

// The reasons for which a request stops waiting.
const (
	crowd    = "too many requests wait for this resource"
	slowness = "the upstream has not answered other requests for this resource"
)

// crowded answers a request that must not wait. detail gives the reason. It serves the stale
// response if the rules allow that, and fails otherwise.
func (c *Cache) crowded(x *exchange, detail string) *Reply {
	if e := x.plan.entry; e != nil {
		now := c.Now()
		a := cachepolicy.Answer{Failure: cachepolicy.FailureOverload, Sent: now, Received: now, Stored: entry.HeaderOf(e)}
		if v := x.res.Rules.Settle(&x.q, &e.Meta, &a, now, 0); v.Effect == cachepolicy.KeepStale {
			return x.hit(e, x.res.StaleDecision(e, now, v.Reason))
		}
	}
	return &Reply{
		failure: &deliver.Failure{
			Status: http.StatusServiceUnavailable, ProxyError: "connection_limit_reached", RetryAfter: 1,
			Detail: detail,
		},
		outcome: cachepolicy.CacheStatus{Reason: cachepolicy.ReasonOverload},
	}
}

// outlived reports whether the response that l is streaming became stale before x came. A response
// that is stale from the beginning may still answer the requests that have waited for it (RFC 9111
// §4).
func (c *Cache) outlived(x *exchange, l *landing) bool {
	return l.entry == nil && x.ev.Start.After(l.Facts.Received) && !l.Facts.Fresh(c.Now())
}

// purged reports whether l is older than a purge that applies to it.
func (c *Cache) purged(key cachepolicy.Key, l *landing) bool {
	if c.tiers.Epochs == nil {
		return false
	}
	if l.entry != nil { // the flight's leader judged it at its lookup, which may be long ago
		return c.tiers.Alive(key, l.entry, c.Now()) == nil
	}
	fate, _ := c.tiers.Epochs.SubjectFate(l.epoch, store.SubjectOf(key, l.draft.Tags))
	return fate != store.Alive
}
