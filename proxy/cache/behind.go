package cache

import (
	"context"
	"io"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/cache/tiers"
	"github.com/penstock/penstock/proxy/observe"
)

// queuedPass is the outcome of a read that the origin answers because the queued write does not
// determine the new state of the resource.
var queuedPass = cachepolicy.CacheStatus{Forward: cachepolicy.ForwardBypass, Reason: cachepolicy.ReasonQueued}

// fromQueue reports whether a write to the URL of x is pending, and returns the reply that the
// write determines. It returns a nil reply if only the origin can answer. The content of a PUT is
// the new representation, and after a DELETE there is no representation. Only the origin knows the
// result of a PATCH or POST: until it has applied the write, readers get its present response.
func (x *located) fromQueue() (reply *fill.Reply, pending bool) {
	if x.Route.Queue == nil {
		return nil, false
	}
	w := x.Route.Queue.Newest(x.HTTP, &x.View)
	if !w.Pending {
		return nil, false
	}
	out := cachepolicy.CacheStatus{Hit: true, Reason: cachepolicy.ReasonQueued}
	switch {
	case w.Method == http.MethodDelete:
		return &fill.Reply{Failure: &deliver.Failure{Status: http.StatusNotFound, Detail: "it is being deleted"}, Status: out}, true
	case w.Method == http.MethodPut && len(w.Header["Content-Range"]) == 0 && cachepolicy.CanDecode(&x.View, http.StatusOK, w.Header):
		return &fill.Reply{Entry: w.Entry(), Tier: tiers.Queue, Status: out}, true
	}
	return nil, true
}

// drainMost is the number of bytes that Apply reads of an unused body, so that the connection can
// be used again.
const drainMost = 256 << 10

// Apply makes the call of a write that was accepted before, and carries out the invalidations that
// the response calls for. It returns the response's status and fields, and discards the body. r is
// in canonical form, and its context carries an observe.Event.
func (c *Cache) Apply(res *Resource, r *http.Request) (status int, header http.Header, err error) {
	x, err := newRequest(res, r, observe.FromContext(r.Context()), nil)
	if err != nil {
		return 0, nil, err
	}
	to := c.tiers.Destination(&x.res.Policy, x.Key)
	a := &x.answer
	c.fills.Call(a, &x.Request, x.OutgoingWithBody(x.Ctx, x.PassHeader()), nil)
	v := res.Rules.Settle(&x.View, nil, &a.Facts, c.Now(), 0)
	if a.Err != nil {
		return 0, nil, a.Err
	}
	defer deliver.Discard(a.Response)
	c.written(x, to, a, &v)
	_, _ = io.Copy(io.Discard, io.LimitReader(a.Response.Body, drainMost)) // the body is no longer needed
	return a.Facts.Status, a.Response.Header, nil
}

// Forget invalidates the stored responses of the URL of an accepted write, whose readers must see
// that write from now on.
func (c *Cache) Forget(ctx context.Context, res *Resource, r *http.Request, scheme string) {
	if res.Invalidate == nil {
		return
	}
	q := view(r, &observe.Event{Scheme: scheme})
	res.Invalidate(ctx, r, &q, []string{selfURL(&q)}, false)
}
