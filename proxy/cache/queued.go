package cache

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// Queued is what a read is to know of the newest write, of those that are yet to be applied, to what it asks for.
type Queued struct {
	Pending bool        // there is one
	Method  string      // of it; "" where the reader may not see it
	Header  http.Header // its fields
	Body    []byte
	At      time.Time // when it was accepted
}

// queued answers x from a write that is yet to be applied, or nil where there is none. What a PUT has brought is the representation, and after a DELETE
// there is none. What a PATCH or POST is going to make of it only the origin can tell: until it has, readers get what the origin has now. Nothing is
// stored meanwhile: what is fetched now is about to be out of date.
func (c *Cache) queued(x *exchange) *Reply {
	if x.res.Queued == nil {
		return nil
	}
	w := x.res.Queued(x.r, &x.q)
	if !w.Pending {
		return nil
	}
	x.transient = true
	out := cachepolicy.Outcome{Hit: true, Reason: cachepolicy.ReasonQueued}
	switch {
	case w.Method == http.MethodDelete:
		return &Reply{failure: &failure{status: http.StatusNotFound, detail: "it is being deleted"}, outcome: out}
	case w.Method == http.MethodPut && len(w.Header["Content-Range"]) == 0:
		return &Reply{Entry: w.entry(), tier: tierQueue, outcome: out}
	}
	return c.pass(x, cachepolicy.Outcome{Forward: cachepolicy.ForwardBypass, Reason: cachepolicy.ReasonQueued})
}

// putFields are the fields of a PUT that describe what it brings (RFC 9110 §8.3 to §8.5).
var putFields = [...]string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Disposition"}

// entry is the representation that a PUT has brought. It has no validator: that is the origin's to give.
func (w *Queued) entry() *store.Entry {
	h := http.Header{"Cache-Control": {"no-store"}}
	for _, name := range putFields {
		if values := w.Header[name]; len(values) > 0 {
			h[name] = values
		}
	}
	ensureDate(h, w.At)
	return &store.Entry{
		Meta: cachepolicy.Meta{
			Status: http.StatusOK, Born: w.At, Received: w.At, Date: w.At, Total: int64(len(w.Body)), Language: strings.ToLower(h.Get("Content-Language")),
		},
		Representations: []store.Representation{{
			Coding: compress.HeaderCoding(h), Head: store.BuildHead(http.StatusOK, h, dropFromStored), Body: store.NewBody(w.Body),
		}},
	}
}

// drainMost is how much of an answer is read that nobody wants, so that its connection can be used again.
const drainMost = 256 << 10

// Apply makes the call of a write that was accepted before, and carries out what its answer makes stale. Of the answer only status and fields are
// returned. r is in canonical form, and its context carries an observe.Event.
func (c *Cache) Apply(res *Resource, r *http.Request) (status int, header http.Header, err error) {
	ev := observe.FromContext(r.Context())
	x := &exchange{ctx: r.Context(), res: res, r: r, q: view(r, ev.Scheme), ev: ev, target: r.URL}
	if res.Target != nil {
		if x.target, err = res.Target(r); err != nil {
			return 0, nil, err
		}
	}
	h := r.Header.Clone()
	res.acceptEncoding(h)
	to := c.place(x)
	a := &x.answer
	c.call(a, x, x.outgoingBody(x.ctx, h), nil)
	v := res.Rules.Settle(&x.q, nil, &a.facts, c.Now(), 0)
	if a.err != nil {
		return 0, nil, a.err
	}
	defer discard(a.resp)
	c.written(x, to, a, &v)
	_, _ = io.Copy(io.Discard, io.LimitReader(a.resp.Body, drainMost)) // what it says is of no use any more
	return a.facts.Status, a.resp.Header, nil
}

// Forget does away with what is stored for reads that are going to see a write which was accepted.
func (c *Cache) Forget(ctx context.Context, res *Resource, r *http.Request, scheme string) {
	if res.Invalidate == nil {
		return
	}
	q := view(r, scheme)
	res.Invalidate(ctx, r, &q, []string{selfURL(&q)}, false)
}
