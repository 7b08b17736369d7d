package cache

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/store"
)

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// stream announces resp, hands its body on as it comes, and stores what is whole.
func (c *Cache) stream(ctx context.Context, j *job, resp *http.Response, v *cachepolicy.Verdict, out cachepolicy.Outcome) {
	defer discard(resp)
	l := newLanding(j.x.res, resp, v.Meta, j.tags)
	l.epoch, l.fill = j.to.epoch, j.ev.SpanContext()
	out, keep := c.streamed(ctx, j.x, &v.Meta, resp.ContentLength, out)
	l.outcome = out
	code := c.newCoder(ctx, j, l)
	defer code.abort()
	reply := &Reply{landing: l, outcome: out, call: callOf(j.ev)}
	if j.leader != nil {
		reply.source = l.open(j.x, j.flight)
	}
	j.flight.Announce(l, keep)
	code.start()
	j.leader.give(reply)
	size, err := copyBody(j.flight, resp.Body)
	j.ev.BytesFromOrigin += size
	if err == nil && resp.ContentLength >= 0 && size != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		j.flight.End(flight.Shared, err)
		code.fail(err)
		return
	}
	l.trailer, l.total = resp.Trailer, size
	if c.reusable(j, &v.Meta) {
		c.unshareable.forget(j.key)
	}
	c.complete(ctx, j, l, code, size)
}

// streamed is the outcome out of a response of size bytes (-1: not known) that is streamed to be stored, and how much of it may be kept.
func (c *Cache) streamed(ctx context.Context, x *exchange, m *cachepolicy.Meta, size int64, out cachepolicy.Outcome) (cachepolicy.Outcome, int64) {
	keep := x.res.MaxObject
	if size > keep {
		keep, out.Reason = 0, cachepolicy.ReasonTooLarge
	}
	if c.crammed(ctx, x, m) {
		out.Reason = cachepolicy.ReasonVariants
	}
	out.Stored, out.TTL, out.HasTTL = keep > 0 && out.Reason != cachepolicy.ReasonVariants, m.Lifetime-m.Age(c.Now()), true
	return out, keep
}

// crammed reports whether the object has as many variants as it may, of which none makes room: then the store is going to refuse this one.
func (c *Cache) crammed(ctx context.Context, x *exchange, m *cachepolicy.Meta) bool {
	if m.Vary == "" {
		return false
	}
	object, err := c.Store.Try(ctx, x.key)
	if err != nil || len(object.Variants) < x.res.MaxVariants {
		return false
	}
	now := c.Now()
	return !slices.ContainsFunc(object.Variants, func(e *store.Entry) bool { return e.Vary == m.Vary || now.After(e.Over()) })
}

// streamAlone is stream for a response that is stored, but is for the leader alone: those who wait go on alone, and the key is remembered as
// not worth waiting for. The leader reads along in a flight that nobody else has joined.
func (c *Cache) streamAlone(ctx context.Context, j *job, resp *http.Response, v *cachepolicy.Verdict, out cachepolicy.Outcome) {
	c.unshareable.add(j.key)
	j.flight.End(flight.Solo, nil)
	apart := *j
	apart.flight = c.solo(j.key)
	defer apart.flight.End(flight.Retry, nil) // a panic must not leave the leader waiting; the first End counts
	defer context.AfterFunc(ctx, func() { apart.flight.End(flight.Retry, context.Cause(ctx)) })()
	c.stream(ctx, &apart, resp, v, out)
	j.kept = apart.kept
}

// complete stores the body that has arrived whole and then lets all who read it have its end: whoever has the whole response and asks
// again finds it stored. Trailer fields are not stored: they may be dropped (RFC 9110 §6.5.1), and of those that read along all get them.
func (c *Cache) complete(ctx context.Context, j *job, l *landing, code *coder, size int64) {
	segments, n, whole := j.flight.Body()
	if !whole || n > j.x.res.MaxObject {
		// Too large to be kept. Those who read it coded may be slow, and the others are not to wait for them.
		j.flight.End(flight.Shared, nil)
		code.finish(size)
		code.end()
		return
	}
	j.kept = l.kept(segments, n, code.finish(size))
	c.keep(ctx, j.to, j.kept)
	code.end()
	j.flight.End(flight.Shared, nil)
}

// copyBody copies body to f until it ends.
func copyBody(f io.Writer, body io.Reader) (size int64, err error) {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := body.Read(*buf)
		if n > 0 {
			size += int64(n)
			if _, werr := f.Write((*buf)[:n]); werr != nil {
				return size, werr
			}
		}
		if err == io.EOF {
			return size, nil
		}
		if err != nil {
			return size, fmt.Errorf("reading the origin's body: %w", err)
		}
	}
}
