package cache

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// fill asks the origin and carries out what Settle says of its answer. It always ends the flight.
func (c *Cache) fill(ctx context.Context, j *job) {
	j.ev.Start = c.Now()
	defer c.filled(j.ev)
	ctx, cancel := context.WithCancel(observe.NewContext(ctx, j.ev))
	held := &holder{cancel: cancel}
	defer held.release()
	defer c.rescue(j)
	j.to = c.place(j.x)
	j.to.tags, j.to.fence = j.tags, j.x.fence
	lease, landed := c.holdLease(ctx, j)
	j.noteLease(lease, landed)
	if landed {
		return
	}
	// A fill that is told to end may be waiting for a reader of its body; the end of the flight wakes it.
	defer context.AfterFunc(ctx, func() { j.flight.End(flight.Retry, context.Cause(ctx)) })()
	if lease != nil {
		j.to.fence = lease.Token()
	}
	j.result = store.Failed
	defer func() { c.release(ctx, lease, c.share(ctx, j)) }()
	ctx = c.WithInterim(ctx, j.leader.tell)
	for range 2 {
		if !c.settle(ctx, j, held) {
			return
		}
		j.plain()
	}
	c.failed(j, invalid("the origin answers a plain request with a part or a 304"))
}

// noteLease notes what came of asking for the lease of all instances, where that was asked for and did not come to nothing.
func (j *job) noteLease(lease Lease, landed bool) {
	switch {
	case landed:
		j.ev.Lease = observe.LeaseShared
	case lease != nil:
		j.ev.Lease = observe.LeaseHeld
	}
}

// filled tells of the end of a fill, whose facts are in ev.
func (c *Cache) filled(ev *observe.Event) {
	if c.Filled == nil {
		return
	}
	ev.Took, ev.Status = c.Now().Sub(ev.Start), ev.UpstreamStatus
	c.Filled(ev)
}

// rescue ends the flight of a fill that panicked. Those who follow start over, once.
func (c *Cache) rescue(j *job) {
	p := recover()
	if p == nil {
		return
	}
	c.Log.Error("a fill panicked; its requests start over", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	j.flight.End(flight.Retry, fmt.Errorf("the fill of this resource failed: %v", p))
	j.leader.give(&Reply{failure: &failure{
		status: http.StatusBadGateway, proxyError: "proxy_internal_error", detail: failureDetail(http.StatusBadGateway),
	}})
}

// settle makes one call and carries out its verdict. It reports whether the call is to be made again without conditions.
func (c *Cache) settle(ctx context.Context, j *job, held *holder) (again bool) {
	x := j.x
	a := new(answer)
	c.call(a, x, j.outgoing(ctx), j.stored)
	c.setbacks.note(x.key.Hash, &a.facts)
	v := x.res.Rules.Settle(&x.q, metaOf(j.stored), &a.facts, c.Now(), c.Random())
	if page := x.res.page(a, v.Effect); page != nil {
		if v.Effect == cachepolicy.Drop {
			c.Drop(ctx, x.key)
		}
		a = c.substitute(ctx, x, page, a)
		v = x.res.Rules.Settle(&x.q, nil, &a.facts, c.Now(), c.Random())
	}
	v.Meta.Seq = c.serial.Add(1)
	out := cachepolicy.Outcome{Forward: c.forwardOf(x, j.d), ForwardStatus: a.facts.Status, Reason: v.Reason}
	switch v.Effect {
	case cachepolicy.KeepStale:
		a.discard()
		c.landEntry(j, j.stored, a, out)
	case cachepolicy.Freshen:
		a.discard()
		if !j.ev.Background {
			j.ev.Cache = observe.CacheRevalidated
		}
		j.kept = c.freshen(ctx, j.to, j.stored, &v)
		c.landEntry(j, j.kept, nil, out)
	case cachepolicy.Combine:
		return c.combine(ctx, j, a.resp, &v, out)
	case cachepolicy.Refetch:
		a.discard()
		return true
	case cachepolicy.Store:
		if x.res.outgrows(&v.Meta, a.resp.ContentLength) {
			// It is not kept, and so large that those who read it along would have to go at the pace of the slowest: each gets its own.
			out.Reason = cachepolicy.ReasonTooLarge
			c.relay(j, a, held, out)
			return false
		}
		if c.reusable(j, &v.Meta) {
			c.stream(ctx, j, a.resp, &v, out)
		} else {
			c.streamAlone(ctx, j, a.resp, &v, out)
		}
	case cachepolicy.Drop:
		c.Drop(ctx, x.key)
		c.relay(j, a, held, out)
	default:
		c.relay(j, a, held, out)
	}
	return false
}

// outgrows reports whether a complete response of size bytes (-1: not known) is more than may be kept.
func (res *Resource) outgrows(m *cachepolicy.Meta, size int64) bool {
	return m.Complete() && size > res.MaxObject
}

// reusable reports whether what has come may answer other requests than the one it came for. One that is stored to be validated on every use
// may not (RFC 9111 §4): each that waits has it validated for itself.
func (c *Cache) reusable(j *job, m *cachepolicy.Meta) bool {
	d := j.x.res.Rules.Decide(&cachepolicy.Request{Method: http.MethodGet}, m, c.Now(), 0)
	return !m.Complete() || d.Action == cachepolicy.Serve || d.Action == cachepolicy.ServeAndRefresh
}

// landEntry answers all who wait with e. instead is the failure in whose place it is served; nil: none.
func (c *Cache) landEntry(j *job, e *store.Entry, instead *answer, out cachepolicy.Outcome) {
	d := staleDecision(e, c.Now(), out.Reason)
	if instead == nil {
		d.Action = cachepolicy.Serve
	}
	out.TTL, out.HasTTL = d.TTL, true
	if instead != nil || c.reusable(j, &e.Meta) {
		j.flight.Announce(&landing{entry: e, decision: d, outcome: out, instead: instead, fill: j.ev.SpanContext()}, 0)
		j.flight.End(flight.Shared, nil)
	} else {
		c.unshareable.add(j.key)
		j.flight.End(flight.Solo, nil)
	}
	j.leader.give(&Reply{Entry: e, decision: d, outcome: out, call: callOf(j.ev)})
}

// staleDecision is the decision to serve e, which need not be fresh, for the given reason.
func staleDecision(e *store.Entry, now time.Time, why cachepolicy.Reason) cachepolicy.Decision {
	age := e.Age(now)
	return cachepolicy.Decision{Action: cachepolicy.ServeStale, Reason: why, Age: age, TTL: e.Lifetime - age}
}

// relay gives the answer to the leader alone: those who wait go on alone, and the key is remembered as not worth waiting for. A failure is
// shared with all.
func (c *Cache) relay(j *job, a *answer, held *holder, out cachepolicy.Outcome) {
	switch {
	case a.err != nil:
		c.failed(j, failureOf(a.err))
	case a.facts.Status == http.StatusNotModified:
		a.discard()
		c.failed(j, invalid("the origin answers a plain request with a 304")) // the client's own conditions were not forwarded
	default:
		c.unshareable.add(j.key)
		j.result = store.Unshareable
		j.flight.End(flight.Solo, nil)
		held.keep(a.resp)
		j.leader.give(&Reply{response: a.resp, outcome: out, call: callOf(j.ev)})
	}
}

// failed shares the failure with all who wait.
func (c *Cache) failed(j *job, f *failure) {
	j.flight.End(flight.Failed, f)
	j.leader.give(&Reply{failure: f, outcome: cachepolicy.Outcome{Forward: c.forwardOf(j.x, j.d)}, call: callOf(j.ev)})
}
