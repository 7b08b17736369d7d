package cache

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// head forwards a HEAD that the store cannot answer. If the stored response may be served on
// errors, the client waits for the call no longer than other clients do, and the call continues:
// see await.
func (c *Cache) head(x *exchange) *Reply {
	if _, ok := c.mayStay(&x.request, x.plan.entry, x.plan.decision, &timedOut); !ok {
		return c.ownHead(x)
	}
	own := &exchange{request: x.request, plan: x.plan, ev: x.fillEvent()}
	own.ev.FillFor(x.ev)
	leader := newHandover()
	own.interim = leader.tell
	if !c.background(func(ctx context.Context) { c.headFor(ctx, own, leader) }) {
		return &Reply{failure: &deliver.Failure{Status: http.StatusServiceUnavailable, Detail: errClosed.Error()}}
	}
	return c.await(x, leader)
}

// headFor makes the call of x and passes the reply to leader. x must belong to this call alone.
// Like a fill, the call ends some time after the client has left.
func (c *Cache) headFor(ctx context.Context, x *exchange, leader *handover) {
	x.ev.Start = c.Now()
	defer c.filled(x.ev)
	ctx, cancel := context.WithCancel(observe.NewContext(ctx, x.ev))
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			c.Log.Error("a HEAD panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			leader.give(&Reply{failure: &deliver.Failure{Status: http.StatusBadGateway, ProxyError: "proxy_internal_error", Detail: deliver.FailureDetail(http.StatusBadGateway)}})
		}
	}()
	attended := &attendance{allowance: x.res.Unattended, grace: headGrace, end: cancel}
	defer attended.close()
	leader.attend(attended)
	x.ctx, x.r = ctx, x.r.WithContext(ctx)
	reply := c.ownHead(x)
	reply.call = callOf(x.ev)
	leader.give(reply)
}

// ownHead makes the call of a HEAD. The answer updates the stored GET response or removes it (RFC
// 9111 §4.3.5). If the client cannot read the coding of the answer, ownHead asks again with the
// client's own Accept-Encoding.
func (c *Cache) ownHead(x *exchange) *Reply {
	e, out := x.plan.entry, x.plan.outcome
	header := x.headHeader(e)
	reply := c.forward(x, header, e, out)
	if reply.response == nil || x.reads(reply.response) || sameField(header["Accept-Encoding"], x.r.Header["Accept-Encoding"]) {
		return reply
	}
	reply.drop()
	return c.forward(x, x.passHeader(), nil, out)
}

// headHeader returns the header of a HEAD for the origin. If the HEAD is to update e, it must send
// the Accept-Encoding with which the GET fetched e.
func (x *request) headHeader(e *store.Entry) http.Header {
	header := x.passHeader()
	if e != nil && !e.Vary.Holds("Accept-Encoding") {
		x.res.acceptEncoding(header)
	}
	return header
}
