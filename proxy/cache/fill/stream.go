package fill

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/flight"
)

// stream announces resp, hands its body to the readers as it arrives, and stores it if it arrives
// whole.
func (fl *Filler) stream(ctx context.Context, j *Job, resp *http.Response, v *cachepolicy.Verdict, out cachepolicy.CacheStatus) {
	defer deliver.Discard(resp)
	l := newInflight(&j.Request.Route.Policy, resp, &v.Meta, j.Request.Route.Tags.Joined(j.to.NamedTags, j.tags))
	l.Epoch, l.Fill = j.to.Epoch, j.Event.SpanContext()
	out, keep := fl.Streamed(j.Request, &v.Meta, resp.ContentLength, out)
	l.Status = out
	code := fl.newCoder(ctx, j, l)
	defer code.abort()
	reply := &Reply{Inflight: l, Status: out, Call: CallFactsOf(j.Event)}
	if j.Leader != nil {
		reply.Source, reply.Leads = l.Open(j.Request, j.flight), true
		j.Leader.unattend() // its reader keeps the fill attended from now on
	}
	j.attended.allow(graceFor(resp.ContentLength, keep))
	j.flight.Expect(resp.ContentLength)
	j.flight.Announce(l, keep)
	code.start()
	j.Leader.Give(reply)
	size, err := deliver.CopyBody(&growing{filler: fl, job: j, left: keep}, resp.Body)
	j.Event.BytesFromOrigin += size
	if err == nil && size != announcedSize(resp, &v.Meta, size) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		// A refresh has no reader, so it ends when the body is too large to be stored.
		if size > j.Request.Route.MaxObject {
			fl.supersede(ctx, j, &Answer{Facts: cachepolicy.Answer{Status: l.Facts.Status}}, cachepolicy.ReasonTooLarge)
		}
		j.flight.End(flight.Shared, err)
		code.fail(err)
		return
	}
	j.Request.Route.Tags.Hide(resp.Trailer)
	l.Trailer, l.Total = resp.Trailer, size
	if v.Meta.Reusable(fl.Now()) {
		fl.HitForMiss.forget(j.key)
	}
	fl.complete(ctx, j, l, code, size)
}

// announcedSize returns the size that resp announces for its body. It takes the framing, or the
// range if resp is a part that ends with the connection. If resp announces no size, it returns the
// number of received bytes.
func announcedSize(resp *http.Response, m *cachepolicy.Meta, came int64) int64 {
	switch {
	case resp.ContentLength >= 0:
		return resp.ContentLength
	case len(m.Spans) == 1:
		return m.Spans[0].Len()
	}
	return came
}

// graceFor returns how long a fill goes on without a reader. The body has size bytes (-1: unknown),
// of which keep may be stored. A body that will not be stored is of no use to later clients.
func graceFor(size, keep int64) time.Duration {
	switch {
	case keep <= 0:
		return 0
	case size >= 0:
		return endGrace
	}
	return streamGrace
}

// growing writes the body of a fill to its flight. If the body exceeds what may be stored, the fill
// gives its lease back and goes on only while it has readers.
type growing struct {
	filler *Filler
	job    *Job
	left   int64 // that may still be stored; negative: the body exceeds it
}

// Write writes to the flight.
func (w *growing) Write(p []byte) (int, error) {
	if w.left >= 0 {
		if w.left -= int64(len(p)); w.left < 0 {
			w.job.attended.allow(0)
			w.filler.yield(w.job)
		}
	}
	return w.job.flight.Write(p)
}

// Streamed returns the outcome for a response of size bytes (-1: unknown) that is streamed and
// stored, and the number of bytes that may be stored. Cache-Status says that the response is stored
// only if that is certain when the head goes out (RFC 9211 §2.5). A response of unknown size may
// turn out to be too large.
func (fl *Filler) Streamed(x *Request, m *cachepolicy.Meta, size int64, out cachepolicy.CacheStatus) (cachepolicy.CacheStatus, int64) {
	keep := x.Route.MaxObject
	if size > keep {
		keep, out.Reason = 0, cachepolicy.ReasonTooLarge
	}
	out.Stored = size >= 0 && keep > 0 && (x.Route.Tiers.Memory || fl.Tiers.Shares(&x.Route.Policy))
	out.TTL, out.HasTTL = m.Lifetime-m.Age(fl.Now()), true
	return out, keep
}

// streamAlone stores a response that only the leader may use without validation. The waiting
// requests go on alone, and the key is remembered as not worth waiting for. The leader reads the
// body in a flight that no other request has joined.
func (fl *Filler) streamAlone(ctx context.Context, j *Job, resp *http.Response, v *cachepolicy.Verdict, out cachepolicy.CacheStatus) {
	fl.HitForMiss.add(j.key)
	fl.yield(j)
	j.flight.End(flight.Solo, nil)
	apart := *j
	apart.flight = fl.Solo(j.key)
	apart.flight.Watch(j.attended.change)
	// A panic must not leave the leader waiting. Only the first End counts.
	defer apart.flight.End(flight.Retry, nil)
	defer context.AfterFunc(ctx, func() { apart.flight.End(flight.Retry, context.Cause(ctx)) })()
	fl.stream(ctx, &apart, resp, v, out)
	j.Kept = apart.Kept
}

// complete stores the body that has arrived whole, and then lets its readers see its end. So a
// client that has received the whole response and asks again finds it stored. Trailer fields are
// not stored, because a cache may drop them (RFC 9110 §6.5.1). All clients that read the body as it
// arrives get them.
func (fl *Filler) complete(ctx context.Context, j *Job, l *Inflight, code *coder, size int64) {
	segments, n, whole := j.flight.Body()
	if !whole || n > j.Request.Route.MaxObject {
		// The body is too large to be stored. Readers of the coded body may be slow, and the other
		// readers must not wait for them.
		fl.supersede(ctx, j, &Answer{Facts: cachepolicy.Answer{Status: l.Facts.Status}}, cachepolicy.ReasonTooLarge)
		j.flight.End(flight.Shared, nil)
		code.finish(size)
		code.end()
		return
	}
	j.Kept = l.kept(segments, n, code.finish(size))
	l.Stored = fl.Tiers.Keep(ctx, j.to, j.Kept) || fl.Tiers.Shares(&j.Request.Route.Policy)
	code.end()
	j.flight.End(flight.Shared, nil)
	j.flight.Nudge(j.key)
}
