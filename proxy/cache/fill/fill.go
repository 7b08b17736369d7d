package fill

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

// Fill asks the origin and carries out Settle's verdict on its answer. It always ends the flight.
func (fl *Filler) Fill(base context.Context, j *Job) {
	j.Event.Start = fl.Now()
	defer fl.ReportFilled(j.Event)
	ctx, cancel := context.WithCancelCause(observe.NewContext(base, j.Event))
	held := &callContext{cancel: cancel}
	defer held.release()
	defer fl.rescue(j)
	j.attend(func() { cancel(errDeserted) })
	defer j.attended.Close()
	j.to = fl.Tiers.Destination(&j.Request.Route.Policy, j.Request.Key)
	j.to.RequestTags, j.to.Fence = j.tags, j.Fence
	lease, answered := fl.holdLease(ctx, j)
	if answered {
		return
	}
	// A cancelled fill may be waiting for a reader of its body. The end of the flight wakes it.
	defer context.AfterFunc(ctx, func() { j.flight.End(flight.Retry, context.Cause(ctx)) })()
	if j.lease = lease; lease != nil {
		j.Event.Lease = observe.LeaseHeld
		j.to.Fence = lease.Token()
	}
	j.result = store.Failed
	defer func() {
		result := fl.share(ctx, j)
		fl.release(ctx, j.lease, result)
	}()
	call := fl.WithInterim(ctx, j.Leader.Tell)
	for range maxCalls {
		if !fl.settle(call, j, held) {
			return
		}
	}
	fl.failed(j, deliver.Invalid("the origin answers a plain request with a part or a 304"))
}

// attend starts to count the clients of the fill. Some time after the last client has left, end is
// called. A fill stays useful without a client if no client waits for it from the beginning, or if
// it updates a stored response: later clients get the result.
func (j *Job) attend(end func()) {
	if j.Leader != nil && j.Stored == nil {
		j.attended.Grace = HeadGrace
	}
	j.Leader.Attend(j.attended)
	j.flight.Watch(j.attended.change)
	j.attended.mu.Lock()
	j.attended.End = end
	j.attended.review(false)
	j.attended.mu.Unlock()
}

// ReportFilled reports the end of a fill, whose facts are in ev, to Filled.
func (fl *Filler) ReportFilled(ev *observe.Event) {
	if fl.Filled == nil {
		return
	}
	ev.Took, ev.Status = fl.Now().Sub(ev.Start), ev.UpstreamStatus
	fl.Filled(ev)
}

// rescue ends the flight of a fill that panicked. The followers start over; restart bounds how
// often.
func (fl *Filler) rescue(j *Job) {
	p := recover()
	if p == nil {
		return
	}
	fl.Log.Error("a fill panicked; its requests start over", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	j.flight.End(flight.Retry, fmt.Errorf("the fill of this resource failed: %v", p))
	j.Leader.Give(&Reply{Failure: &deliver.Failure{
		Status: http.StatusBadGateway, ProxyError: "proxy_internal_error", Detail: deliver.FailureDetail(http.StatusBadGateway),
	}})
}

// maxCalls bounds the calls of one fill. A call without conditions follows if an answer does not
// fit the stored response. A call with the client's own Accept-Encoding follows if the answer has a
// coding that the client does not accept.
const maxCalls = 3

// settle makes one call and carries out its verdict. It returns true if the fill must make another
// call, for which settle has prepared j.
func (fl *Filler) settle(ctx context.Context, j *Job, held *callContext) (again bool) {
	x := j.Request
	a := new(Answer)
	fl.Call(a, x, j.Outgoing(ctx), j.Stored)
	if context.Cause(ctx) == errDeserted { // which says nothing about the origin
		a.Discard()
		j.flight.End(flight.Retry, errDeserted) // a client that has joined at the last moment starts over
		j.Leader.Give(&Reply{Failure: &deliver.Failure{Gone: true, Err: errDeserted}})
		return false
	}
	j.to.NamedTags = a.Tags
	fl.Failures.Note(x.Key.Hash, &a.Facts)
	v := x.Route.Rules.Settle(&x.View, entry.MetaOf(j.Stored), &a.Facts, fl.Now(), fl.Random())
	if Delivers(v.Effect) && j.Narrow(a) {
		a.Discard()
		j.Prepare()
		return true
	}
	if v.Effect == cachepolicy.Relay && j.Stored == nil {
		fl.supersede(ctx, j, a, v.Reason)
	}
	if v.Effect == cachepolicy.Drop {
		fl.Tiers.Drop(ctx, x.Key)
	}
	came := a // before a page replaces it
	if page := x.Route.Page(a, v.Effect); page != nil {
		instead := fl.Substitute(ctx, x, page, a)
		if instead != nil {
			a = instead
		}
		v = x.Route.Rules.Settle(&x.View, nil, &a.Facts, fl.Now(), fl.Random())
		if j.to.NamedTags = a.Tags; instead != nil {
			v.Meta.Flags |= cachepolicy.FlagSubstitute
		}
	}
	v.Meta.Seq = fl.Tiers.NextSeq()
	return fl.carryOut(ctx, j, held, &Settled{Received: came, Answer: a, Verdict: &v})
}

// carryOut carries out the verdict on an answer. Like settle, it returns true if the fill must make
// another call.
func (fl *Filler) carryOut(ctx context.Context, j *Job, held *callContext, t *Settled) (again bool) {
	a := t.Answer
	use, out := j.UseOf(t, fl.Now())
	switch use {
	case UseStale:
		a.Discard()
		fl.announceStored(j, j.Stored, a, out)
	case UseFreshen:
		a.Discard()
		if !j.Event.Background {
			j.Event.Cache = observe.CacheRevalidated
		}
		j.personal = j.Request.Route.Rules.Personal(a.Facts.Header)
		j.Kept = fl.Tiers.Freshen(ctx, j.to, j.Stored, t.Verdict)
		fl.announceStored(j, j.Kept, nil, out)
	case UseCombine:
		again = fl.combine(ctx, j, a.Response, t.Verdict, out)
	case UseNone:
		a.Discard()
		again = true
	case UseStream:
		fl.stream(ctx, j, a.Response, t.Verdict, out)
	case UseStreamAlone:
		fl.streamAlone(ctx, j, a.Response, t.Verdict, out)
	case useTooLarge:
		fl.supersede(ctx, j, a, out.Reason)
		fl.relay(j, a, held, out)
	case UseFailure:
		fl.failed(j, deliver.FailureOf(a.Err))
	case UseMisplaced304:
		a.Discard()
		fl.failed(j, deliver.Invalid("the origin answers a plain request with a 304")) // the fill did not forward the client's own conditions
	case useRefusal:
		fl.refused(j, t.Received, a, held, out)
	case useRelay:
		fl.relay(j, a, held, out)
	}
	if again {
		j.plain()
	}
	return again
}

// Delivers reports whether a verdict with this effect delivers the content of the answer unchanged.
func Delivers(effect cachepolicy.Effect) bool {
	return effect == cachepolicy.Store || effect == cachepolicy.Relay || effect == cachepolicy.Drop
}

// supersede removes the stored response with which j began if an answer that is not stored has
// ended its life.
func (fl *Filler) supersede(ctx context.Context, j *Job, a *Answer, why cachepolicy.Reason) {
	x, old := j.Request, j.replaces
	if a.Err == nil && old != nil && x.Route.Rules.Supersedes(&x.View, &old.Meta, a.Facts.Status, why, fl.Now()) {
		fl.Tiers.Drop(ctx, x.Key)
	}
}

// announceStored answers all waiting requests with e. instead is the failure in whose place e is served;
// nil: there is no failure. If there is no failure and e may not be reused without validation, only
// the leader gets e, and the followers go on alone.
func (fl *Filler) announceStored(j *Job, e *store.Entry, instead *Answer, out cachepolicy.CacheStatus) {
	d := j.Request.Route.StaleDecision(e, fl.Now(), out.Reason)
	if instead == nil {
		d.Action = cachepolicy.Serve
	}
	out.TTL, out.HasTTL = d.TTL, true
	if instead != nil || e.Reusable(fl.Now()) {
		l := &Inflight{Entry: e, Decision: d, Status: out, Fill: j.Event.SpanContext()}
		if instead != nil {
			failed := *instead // a copy, so that the answer of a fill needs no memory of its own
			l.Instead = &failed
		}
		j.flight.Announce(l, 0)
		j.flight.End(flight.Shared, nil)
	} else {
		fl.HitForMiss.add(j.key)
		j.flight.End(flight.Solo, nil)
	}
	j.Leader.Give(&Reply{Entry: e, Personal: j.personal, Decision: d, Status: out, Call: CallFactsOf(j.Event)})
	if instead == nil {
		j.flight.Nudge(j.key)
	}
}

// relay gives the answer to the leader alone. The followers go on alone, and later requests for the
// key do not wait for each other for some time.
func (fl *Filler) relay(j *Job, a *Answer, held *callContext, out cachepolicy.CacheStatus) {
	if !answersCondition(a.Facts.Status) { // such an answer does not tell which clients may have the whole response
		fl.HitForMiss.add(j.key)
	}
	j.result = store.Unshareable
	j.flight.End(flight.Solo, nil)
	held.keep(a.Response)
	j.Leader.Give(&Reply{Response: a.Response, Status: out, Call: CallFactsOf(j.Event)})
}

// answersCondition reports whether status answers a condition of the client.
func answersCondition(status int) bool {
	return status == http.StatusNotModified || status == http.StatusPreconditionFailed
}

// refused gives the leader the error came, or a, the error page in its place. The error may be due
// to the leader's own request. So one of the followers tries for itself, then another, and if these
// calls fail too, all get the failure. Later requests for the key still wait for each other,
// because an origin that fails must not get all requests at once.
func (fl *Filler) refused(j *Job, came, a *Answer, held *callContext, out cachepolicy.CacheStatus) {
	f, outcome := came.Failure(), flight.Retry
	if came.Err != nil {
		outcome = flight.Failed
	}
	if a != came {
		f.Page, _ = deliver.PageOf(a.Response) // the page is in memory, so reading it does not fail
	}
	fl.Failures.share(j.Request.Key.Hash, f)
	j.flight.End(outcome, f)
	held.keep(a.Response)
	j.Leader.Give(&Reply{Response: a.Response, Status: out, Call: CallFactsOf(j.Event)})
}

// failed shares the failure with all waiting requests.
func (fl *Filler) failed(j *Job, f *deliver.Failure) {
	j.flight.End(flight.Failed, f)
	j.Leader.Give(&Reply{Failure: f, Status: cachepolicy.CacheStatus{Forward: j.ForwardOf(j.Decision)}, Call: CallFactsOf(j.Event)})
}
