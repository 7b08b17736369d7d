package cache

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// Queue knows the writes of a route that were accepted and are not yet applied.
type Queue interface {
	// Held reports whether a write to k's URL may be queued, as far as this instance knows. Every
	// hit asks, so Held takes no lock and allocates nothing. It may be true in error, but never
	// false in error.
	Held(k cachepolicy.Key) bool
	// Newest returns the newest queued write to the URL of a read, including writes of other
	// instances.
	Newest(r *http.Request, q *cachepolicy.Request) Queued
	// Changes reports whether there is a queued write to k's URL.
	Changes(ctx context.Context, k cachepolicy.Key) bool
}

// Queued describes to a read the newest write to its URL that is not yet applied.
type Queued struct {
	Pending bool        // true if there is such a write
	Method  string      // of the write; "" if the reader may not see it
	Header  http.Header // of the write
	Body    []byte
	At      time.Time // when the write was accepted
}

// queuedPass is the outcome of a read that the origin answers because the queued write does not
// determine the new state of the resource.
var queuedPass = cachepolicy.CacheStatus{Forward: cachepolicy.ForwardBypass, Reason: cachepolicy.ReasonQueued}

// fromQueue reports whether a write to the URL of x is pending, and returns the reply that the
// write determines. It returns a nil reply if only the origin can answer. The content of a PUT is
// the new representation, and after a DELETE there is no representation. Only the origin knows the
// result of a PATCH or POST: until it has applied the write, readers get its present response.
func (x *request) fromQueue() (reply *Reply, pending bool) {
	if x.res.Queue == nil {
		return nil, false
	}
	w := x.res.Queue.Newest(x.r, &x.q)
	if !w.Pending {
		return nil, false
	}
	out := cachepolicy.CacheStatus{Hit: true, Reason: cachepolicy.ReasonQueued}
	switch {
	case w.Method == http.MethodDelete:
		return &Reply{failure: &deliver.Failure{Status: http.StatusNotFound, Detail: "it is being deleted"}, outcome: out}, true
	case w.Method == http.MethodPut && len(w.Header["Content-Range"]) == 0 && cachepolicy.Reads(&x.q, http.StatusOK, w.Header):
		return &Reply{Entry: w.entry(), tier: tierQueue, outcome: out}, true
	}
	return nil, true
}

// onHold reports whether the queue must be asked before a stored response may answer a request with
// the key k.
func (res *Resource) onHold(k cachepolicy.Key) bool { return res.Queue != nil && res.Queue.Held(k) }

// changes reports whether a queued write is going to change the response stored under k. A fill
// asks after its response has arrived and before it stores that response. A write that is accepted
// later dooms the stored response.
func (res *Resource) changes(ctx context.Context, k cachepolicy.Key) bool {
	return res.Queue != nil && res.Queue.Changes(ctx, k)
}

// putFields are the fields of a PUT that describe its content (RFC 9110 §8.3 to §8.5).
var putFields = [...]string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Disposition"}

// entry returns the representation that a PUT has brought. It has no validator, because only the
// origin can give one.
func (w *Queued) entry() *store.Entry {
	h := http.Header{"Cache-Control": {"no-store"}}
	for _, name := range putFields {
		if values := w.Header[name]; len(values) > 0 {
			h[name] = values
		}
	}
	ensureDate(h, w.At)
	var derivable compress.Set
	coding := compress.HeaderCoding(h)
	if coding != compress.Identity && coding != compress.Unknown {
		derivable.Add(compress.Identity)
	}
	return &store.Entry{
		Derivable: derivable,
		Meta: cachepolicy.Meta{
			Status: http.StatusOK, Born: w.At, Received: w.At, Date: w.At, Total: int64(len(w.Body)), Language: strings.ToLower(h.Get("Content-Language")),
		},
		Representations: []store.Representation{{
			Coding: coding, Head: store.BuildHead(http.StatusOK, h, dropFromStored), Body: store.NewBody(w.Body),
		}},
	}
}

// drainMost is the number of bytes that Apply reads of an unused body, so that the connection can
// be used again.
const drainMost = 256 << 10

// Apply makes the call of a write that was accepted before, and carries out the invalidations that
// the response calls for. It returns the response's status and fields, and discards the body. r is
// in canonical form, and its context carries an observe.Event.
func (c *Cache) Apply(res *Resource, r *http.Request) (status int, header http.Header, err error) {
	x, err := newExchange(res, r, observe.FromContext(r.Context()), nil)
	if err != nil {
		return 0, nil, err
	}
	to := c.place(&x.request)
	a := &x.answer
	c.call(a, &x.request, x.outgoingBody(x.ctx, x.passHeader()), nil)
	v := res.Rules.Settle(&x.q, nil, &a.facts, c.Now(), 0)
	if a.err != nil {
		return 0, nil, a.err
	}
	defer deliver.Discard(a.resp)
	c.written(x, to, a, &v)
	_, _ = io.Copy(io.Discard, io.LimitReader(a.resp.Body, drainMost)) // the body is no longer needed
	return a.facts.Status, a.resp.Header, nil
}

// Forget invalidates the stored responses of the URL of an accepted write, whose readers must see
// that write from now on.
func (c *Cache) Forget(ctx context.Context, res *Resource, r *http.Request, scheme string) {
	if res.Invalidate == nil {
		return
	}
	q := view(r, scheme)
	res.Invalidate(ctx, r, &q, []string{selfURL(&q)}, false)
}
