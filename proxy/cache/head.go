package cache

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// head forwards a HEAD that the store cannot answer. If the stored response may be served on
// errors, the client waits for the call no longer than other clients do, and the call continues:
// see await.
func (c *Cache) head(x *request) *fill.Reply {
	if _, ok := c.mayStay(&x.located, x.plan.entry, x.plan.decision, &fill.TimedOut); !ok {
		return c.ownHead(x)
	}
	own := &request{located: x.located, res: x.res, plan: x.plan, ev: x.fillEvent()}
	own.ev.FillFor(x.ev)
	leader := fill.NewHandover()
	own.interim = leader.Tell
	if !c.tasks.Go(func(ctx context.Context) { c.headFor(ctx, own, leader) }) {
		return &fill.Reply{Failure: &deliver.Failure{Status: http.StatusServiceUnavailable, Detail: fill.ErrClosed.Error()}}
	}
	return c.await(x, leader)
}

// headFor makes the call of x and passes the reply to leader. x must belong to this call alone.
// Like a fill, the call ends some time after the client has left.
func (c *Cache) headFor(ctx context.Context, x *request, leader *fill.Handover) {
	x.ev.Start = c.Now()
	defer c.fills.ReportFilled(x.ev)
	ctx, cancel := context.WithCancel(observe.NewContext(ctx, x.ev))
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("a HEAD panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			leader.Give(&fill.Reply{Failure: &deliver.Failure{Status: http.StatusBadGateway, ProxyError: "proxy_internal_error", Detail: deliver.FailureDetail(http.StatusBadGateway)}})
		}
	}()
	attended := &fill.Attendance{Allowance: x.res.Unattended, Grace: fill.HeadGrace, End: cancel}
	defer attended.Close()
	leader.Attend(attended)
	x.Ctx, x.HTTP = ctx, x.HTTP.WithContext(ctx)
	reply := c.ownHead(x)
	reply.Call = fill.CallFactsOf(x.ev)
	leader.Give(reply)
}

// ownHead makes the call of a HEAD. The answer updates the stored GET response or removes it (RFC
// 9111 §4.3.5). If the client cannot read the coding of the answer, ownHead asks again with the
// client's own Accept-Encoding.
func (c *Cache) ownHead(x *request) *fill.Reply {
	e, out := x.plan.entry, x.plan.outcome
	header := x.headHeader(e)
	reply := c.forward(x, header, e, out)
	if reply.Response == nil || x.Reads(reply.Response) || fill.SameField(header["Accept-Encoding"], x.HTTP.Header["Accept-Encoding"]) {
		return reply
	}
	reply.Drop()
	return c.forward(x, x.PassHeader(), nil, out)
}

// headHeader returns the header of a HEAD for the origin. If the HEAD is to update e, it must send
// the Accept-Encoding with which the GET fetched e.
func (x *located) headHeader(e *store.Entry) http.Header {
	header := x.PassHeader()
	if e != nil && !e.Vary.Holds("Accept-Encoding") {
		x.Route.WidenAcceptEncoding(header)
	}
	return header
}
