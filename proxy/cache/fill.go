package cache

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// fill asks the origin and carries out Settle's verdict on its answer. It always ends the flight.
func (c *Cache) fill(base context.Context, j *job) {
	j.ev.Start = c.Now()
	defer c.filled(j.ev)
	ctx, cancel := context.WithCancelCause(observe.NewContext(base, j.ev))
	held := &holder{cancel: cancel}
	defer held.release()
	defer c.rescue(j)
	j.attend(func() { cancel(errDeserted) })
	defer j.attended.close()
	j.to = c.tiers.Destination(&j.x.res.Policy, j.x.key)
	j.to.RequestTags, j.to.Fence = j.tags, j.fence
	lease, landed := c.holdLease(ctx, j)
	if landed {
		return
	}
	// A cancelled fill may be waiting for a reader of its body. The end of the flight wakes it.
	defer context.AfterFunc(ctx, func() { j.flight.End(flight.Retry, context.Cause(ctx)) })()
	if j.lease = lease; lease != nil {
		j.ev.Lease = observe.LeaseHeld
		j.to.Fence = lease.Token()
	}
	j.result = store.Failed
	defer func() {
		result := c.share(ctx, j)
		c.release(ctx, j.lease, result)
	}()
	call := c.WithInterim(ctx, j.leader.tell)
	for range maxCalls {
		if !c.settle(call, j, held) {
			return
		}
	}
	c.failed(j, deliver.Invalid("the origin answers a plain request with a part or a 304"))
}

// attend starts to count the clients of the fill. Some time after the last client has left, end is
// called. A fill stays useful without a client if no client waits for it from the beginning, or if
// it updates a stored response: later clients get the result.
func (j *job) attend(end func()) {
	if j.leader != nil && j.stored == nil {
		j.attended.grace = headGrace
	}
	j.leader.attend(j.attended)
	j.flight.Watch(j.attended.change)
	j.attended.mu.Lock()
	j.attended.end = end
	j.attended.review(false)
	j.attended.mu.Unlock()
}

// filled reports the end of a fill, whose facts are in ev, to Filled.
func (c *Cache) filled(ev *observe.Event) {
	if c.Filled == nil {
		return
	}
	ev.Took, ev.Status = c.Now().Sub(ev.Start), ev.UpstreamStatus
	c.Filled(ev)
}

// rescue ends the flight of a fill that panicked. The followers start over; restart bounds how
// often.
func (c *Cache) rescue(j *job) {
	p := recover()
	if p == nil {
		return
	}
	c.Log.Error("a fill panicked; its requests start over", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	j.flight.End(flight.Retry, fmt.Errorf("the fill of this resource failed: %v", p))
	j.leader.give(&Reply{failure: &deliver.Failure{
		Status: http.StatusBadGateway, ProxyError: "proxy_internal_error", Detail: deliver.FailureDetail(http.StatusBadGateway),
	}})
}

// maxCalls bounds the calls of one fill. A call without conditions follows if an answer does not
// fit the stored response. A call with the client's own Accept-Encoding follows if the answer has a
// coding that the client does not accept.
const maxCalls = 3

// settle makes one call and carries out its verdict. It returns true if the fill must make another
// call, for which settle has prepared j.
func (c *Cache) settle(ctx context.Context, j *job, held *holder) (again bool) {
	x := j.x
	a := new(answer)
	c.call(a, x, j.outgoing(ctx), j.stored)
	if context.Cause(ctx) == errDeserted { // which says nothing about the origin
		a.discard()
		j.flight.End(flight.Retry, errDeserted) // a client that has joined at the last moment starts over
		j.leader.give(&Reply{failure: &deliver.Failure{Gone: true, Err: errDeserted}})
		return false
	}
	j.to.NamedTags = a.tags
	c.setbacks.note(x.key.Hash, &a.facts)
	v := x.res.Rules.Settle(&x.q, entry.MetaOf(j.stored), &a.facts, c.Now(), c.Random())
	if delivers(v.Effect) && j.narrow(a) {
		a.discard()
		j.ask()
		return true
	}
	if v.Effect == cachepolicy.Relay && j.stored == nil {
		c.supersede(ctx, j, a, v.Reason)
	}
	if v.Effect == cachepolicy.Drop {
		c.tiers.Drop(ctx, x.key)
	}
	came := a // before a page replaces it
	if page := x.res.page(a, v.Effect); page != nil {
		instead := c.substitute(ctx, x, page, a)
		if instead != nil {
			a = instead
		}
		v = x.res.Rules.Settle(&x.q, nil, &a.facts, c.Now(), c.Random())
		if j.to.NamedTags = a.tags; instead != nil {
			v.Meta.Flags |= cachepolicy.FlagSubstitute
		}
	}
	v.Meta.Seq = c.tiers.NextSeq()
	return c.carryOut(ctx, j, held, &taken{came: came, a: a, v: &v})
}

// carryOut carries out the verdict on an answer. Like settle, it returns true if the fill must make
// another call.
func (c *Cache) carryOut(ctx context.Context, j *job, held *holder, t *taken) (again bool) {
	a := t.a
	use, out := j.useOf(t, c.Now())
	switch use {
	case useStale:
		a.discard()
		c.landEntry(j, j.stored, a, out)
	case useFreshen:
		a.discard()
		if !j.ev.Background {
			j.ev.Cache = observe.CacheRevalidated
		}
		j.personal = j.x.res.Rules.Personal(a.facts.Header)
		j.kept = c.tiers.Freshen(ctx, j.to, j.stored, t.v)
		c.landEntry(j, j.kept, nil, out)
	case useCombine:
		again = c.combine(ctx, j, a.resp, t.v, out)
	case useNone:
		a.discard()
		again = true
	case useStream:
		c.stream(ctx, j, a.resp, t.v, out)
	case useStreamAlone:
		c.streamAlone(ctx, j, a.resp, t.v, out)
	case useTooLarge:
		c.supersede(ctx, j, a, out.Reason)
		c.relay(j, a, held, out)
	case useFailure:
		c.failed(j, deliver.FailureOf(a.err))
	case useMisplaced304:
		a.discard()
		c.failed(j, deliver.Invalid("the origin answers a plain request with a 304")) // the fill did not forward the client's own conditions
	case useRefusal:
		c.refused(j, t.came, a, held, out)
	case useRelay:
		c.relay(j, a, held, out)
	}
	if again {
		j.plain()
	}
	return again
}

// delivers reports whether a verdict with this effect delivers the content of the answer unchanged.
func delivers(effect cachepolicy.Effect) bool {
	return effect == cachepolicy.Store || effect == cachepolicy.Relay || effect == cachepolicy.Drop
}

// supersede removes the stored response with which j began if an answer that is not stored has
// ended its life.
func (c *Cache) supersede(ctx context.Context, j *job, a *answer, why cachepolicy.Reason) {
	x, old := j.x, j.replaces
	if a.err == nil && old != nil && x.res.Rules.Supersedes(&x.q, &old.Meta, a.facts.Status, why, c.Now()) {
		c.tiers.Drop(ctx, x.key)
	}
}

// landEntry answers all waiting requests with e. instead is the failure in whose place e is served;
// nil: there is no failure. If there is no failure and e may not be reused without validation, only
// the leader gets e, and the followers go on alone.
func (c *Cache) landEntry(j *job, e *store.Entry, instead *answer, out cachepolicy.CacheStatus) {
	d := j.x.res.StaleDecision(e, c.Now(), out.Reason)
	if instead == nil {
		d.Action = cachepolicy.Serve
	}
	out.TTL, out.HasTTL = d.TTL, true
	if instead != nil || e.Reusable(c.Now()) {
		l := &landing{entry: e, decision: d, outcome: out, fill: j.ev.SpanContext()}
		if instead != nil {
			failed := *instead // a copy, so that the answer of a fill needs no memory of its own
			l.instead = &failed
		}
		j.flight.Announce(l, 0)
		j.flight.End(flight.Shared, nil)
	} else {
		c.unshareable.add(j.key)
		j.flight.End(flight.Solo, nil)
	}
	j.leader.give(&Reply{Entry: e, personal: j.personal, decision: d, outcome: out, call: callOf(j.ev)})
	if instead == nil {
		j.flight.Nudge(j.key)
	}
}

// relay gives the answer to the leader alone. The followers go on alone, and later requests for the
// key do not wait for each other for some time.
func (c *Cache) relay(j *job, a *answer, held *holder, out cachepolicy.CacheStatus) {
	if !answersCondition(a.facts.Status) { // such an answer does not tell which clients may have the whole response
		c.unshareable.add(j.key)
	}
	j.result = store.Unshareable
	j.flight.End(flight.Solo, nil)
	held.keep(a.resp)
	j.leader.give(&Reply{response: a.resp, outcome: out, call: callOf(j.ev)})
}

// answersCondition reports whether status answers a condition of the client.
func answersCondition(status int) bool {
	return status == http.StatusNotModified || status == http.StatusPreconditionFailed
}

// refused gives the leader the error came, or a, the error page in its place. The error may be due
// to the leader's own request. So one of the followers tries for itself, then another, and if these
// calls fail too, all get the failure. Later requests for the key still wait for each other,
// because an origin that fails must not get all requests at once.
func (c *Cache) refused(j *job, came, a *answer, held *holder, out cachepolicy.CacheStatus) {
	f, outcome := came.failure(), flight.Retry
	if came.err != nil {
		outcome = flight.Failed
	}
	if a != came {
		f.Page, _ = deliver.PageOf(a.resp) // the page is in memory, so reading it does not fail
	}
	c.setbacks.share(j.x.key.Hash, f)
	j.flight.End(outcome, f)
	held.keep(a.resp)
	j.leader.give(&Reply{response: a.resp, outcome: out, call: callOf(j.ev)})
}

// failed shares the failure with all waiting requests.
func (c *Cache) failed(j *job, f *deliver.Failure) {
	j.flight.End(flight.Failed, f)
	j.leader.give(&Reply{failure: f, outcome: cachepolicy.CacheStatus{Forward: j.ForwardOf(j.d)}, call: callOf(j.ev)})
}
