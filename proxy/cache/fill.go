package cache

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/upstream"
)

// job is one fill: a call to the origin that belongs to no client. Everything in it is its own or immutable.
type job struct {
	x       *exchange // of the leader; its client may be gone, so neither its context nor its Event is touched
	flight  *fillFlight
	key     flightKey    // under which others wait for it
	stored  *store.Entry // what is being validated, completed or replaced; nil: nothing
	d       cachepolicy.Decision
	header  http.Header // of the request to the origin
	begun   uint64      // serial at the start: an invalidation after it dooms what this fill would store
	landed  chan *Reply // to the leader; nil: nobody waits (a background refresh)
	interim chan interim
	left    <-chan struct{} // closed when the leader's client is gone
	accept  []string        // the leader's Accept-Encoding
	ev      *observe.Event
}

// interim is a 1xx response on its way to the leader.
type interim struct {
	status int
	header http.Header
}

// job returns the fill of x in f. It is called while x's client is still there.
func (x *exchange) job(f *fillFlight, k flightKey, e *store.Entry, d cachepolicy.Decision) *job {
	j := &job{x: x, flight: f, key: k, stored: e, d: d, header: x.fillHeader(), left: x.ctx.Done(), accept: x.r.Header["Accept-Encoding"], ev: new(observe.Event)}
	j.ask()
	return j
}

// ask sets the request's conditions: validators of what is stored, or the bytes that are missing.
func (j *job) ask() {
	switch {
	case j.d.HasAsk:
		setRange(j.header, j.d.Ask, &j.stored.Meta)
	case j.d.Action == cachepolicy.Fetch && len(j.x.r.Header["Range"]) > 0:
		j.header["Range"] = j.x.r.Header["Range"]
		if v := j.x.r.Header["If-Range"]; len(v) > 0 {
			j.header["If-Range"] = v
		}
	case j.stored != nil && j.stored.Complete():
		cachepolicy.Conditional(j.header, &j.stored.Meta)
	}
}

// plain makes it a request for the whole response, whatever is stored.
func (j *job) plain() {
	for _, name := range conditionals {
		delete(j.header, name)
	}
	j.stored = nil
}

// fill asks the origin and carries out what Settle says of its answer. It always ends the flight.
func (c *Cache) fill(ctx context.Context, j *job) {
	ctx, cancel := context.WithCancel(observe.NewContext(ctx, j.ev))
	held := &holder{cancel: cancel}
	defer held.release()
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("a fill panicked; its requests start over", "panic", p, "stack", string(debug.Stack()))
			j.flight.End(flight.Retry, fmt.Errorf("the fill of this resource failed: %v", p))
			j.land(&Reply{failure: &failure{status: http.StatusBadGateway, proxyError: "proxy_internal_error"}})
		}
	}()
	j.begun = c.doomed.now()
	ctx = upstream.WithInterim(ctx, j.sendInterim)
	for range 2 {
		if !c.settle(ctx, j, held) {
			return
		}
		j.plain()
	}
	c.failed(j, &failure{status: http.StatusBadGateway, proxyError: "http_protocol_error", detail: "the origin answers a plain request with a part or a 304"})
}

// settle makes one call and carries out its verdict. It reports whether the call is to be made again without conditions.
func (c *Cache) settle(ctx context.Context, j *job, held *holder) (again bool) {
	a, resp, err := c.call(ctx, j)
	rules := j.x.res.Rules
	v := rules.Settle(&j.x.q, metaOf(j.stored), &a, c.now(), c.random())
	if page := j.x.res.page(&a, v.Effect); page != nil {
		a, resp, err = c.substitute(ctx, j, page, &a, resp, err)
		v = rules.Settle(&j.x.q, nil, &a, c.now(), c.random())
	}
	v.Meta.FillTime = a.Received.Sub(a.Sent)
	v.Meta.Seq = c.serial.Add(1)
	out := cachepolicy.Outcome{Forward: c.forwardOf(j.x, j.d), ForwardStatus: a.Status, Reason: v.Reason}
	switch v.Effect {
	case cachepolicy.KeepStale:
		discard(resp)
		c.landEntry(j, j.stored, out)
	case cachepolicy.Freshen:
		discard(resp)
		c.landEntry(j, c.freshen(ctx, j, a.Header, &v), out)
	case cachepolicy.Combine:
		c.combine(ctx, j, resp, &v, out)
	case cachepolicy.Refetch:
		discard(resp)
		return true
	case cachepolicy.Store:
		c.stream(ctx, j, resp, &v, out)
	default:
		if v.Effect == cachepolicy.Drop {
			c.drop(ctx, j.x.key)
		}
		if err != nil {
			c.failed(j, failureOf(err))
			return false
		}
		held.keep(resp)
		c.relay(j, resp, out)
	}
	return false
}

// call makes the request and describes its answer.
func (c *Cache) call(ctx context.Context, j *job) (cachepolicy.Answer, *http.Response, error) {
	sent := c.now()
	resp, err := j.x.res.Origin.RoundTrip(j.x.outgoing(ctx, j.header))
	a := j.x.res.answer(&j.x.q, resp, err, sent, c.now())
	a.Stored = headerOf(j.stored)
	return a, resp, err
}

// headerOf is the stored header of e, nil where nothing is stored.
func headerOf(e *store.Entry) http.Header {
	if e == nil {
		return nil
	}
	return e.Representations[0].Header()
}

// answer describes resp, or err, to cachepolicy, after the route's own changes to the header.
func (res *Resource) answer(q *cachepolicy.Request, resp *http.Response, err error, sent, received time.Time) cachepolicy.Answer {
	a := cachepolicy.Answer{Sent: sent, Received: received}
	if err != nil {
		a.Failure = failureKind(err)
		return a
	}
	if res.Respond != nil {
		res.Respond(resp.Header)
	}
	res.Rules.ApplyCacheControl(q, resp.StatusCode, resp.Header)
	a.Status, a.Header = resp.StatusCode, resp.Header
	return a
}

// stream announces resp, hands its body on as it comes, and stores what is whole.
func (c *Cache) stream(ctx context.Context, j *job, resp *http.Response, v *cachepolicy.Verdict, out cachepolicy.Outcome) {
	defer resp.Body.Close()
	res := j.x.res
	l := c.newLanding(j, resp, v)
	keep := res.MaxObject
	if resp.ContentLength > keep {
		keep, v.Reason = 0, cachepolicy.ReasonTooLarge
	}
	out.Stored, out.TTL, out.HasTTL, out.Reason = keep > 0, v.Meta.Lifetime-v.Meta.Age(c.now()), true, v.Reason
	l.outcome = out
	coder := c.openSpool(j, l, resp.ContentLength)
	defer coder.abort()
	if j.landed == nil {
		j.flight.Announce(l, keep)
	} else if reader := j.flight.Reader(ctx); true {
		j.flight.Announce(l, keep)
		if !j.land(&Reply{landing: l, reader: reader, outcome: out}) {
			reader.Close()
		}
	}
	size, err := copyBody(j.flight, coder, resp.Body)
	if err == nil && resp.ContentLength >= 0 && size != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		coder.fail(err)
		j.flight.End(flight.Shared, err)
		return
	}
	l.trailer = resp.Trailer
	coded := coder.finish()
	if segments, n, whole := j.flight.Body(); whole && n <= res.MaxObject && len(resp.Trailer) == 0 {
		c.keep(ctx, j, c.entryOf(l, segments, n, coded, v))
	}
	c.unshareable.forget(j.key)
	j.flight.End(flight.Shared, nil)
}

// copyBody hands what arrives to the flight, and to coder, until body ends.
func copyBody(f io.Writer, coder *spoolCoder, body io.Reader) (size int64, err error) {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := body.Read(*buf)
		if n > 0 {
			size += int64(n)
			if _, werr := f.Write((*buf)[:n]); werr != nil {
				return size, werr
			}
			coder.write((*buf)[:n])
		}
		if err == io.EOF {
			return size, nil
		}
		if err != nil {
			return size, fmt.Errorf("reading the origin's body: %w", err)
		}
	}
}

// keep stores e unless the object was invalidated after the fill began: what an unsafe method has made stale must not come back.
func (c *Cache) keep(ctx context.Context, j *job, e *store.Entry) {
	if c.doomed.since(j.x.key.Hash, j.begun) {
		return
	}
	if err := c.store.Put(ctx, j.x.key, e, j.x.res.MaxVariants); err != nil {
		c.log.Debug("a response was not stored", "route", j.x.res.Rules.Route, "err", err)
	}
	// The invalidation may have come between the look above and the Put: it dooms first and deletes then, so one of the two sees the other.
	if c.doomed.since(j.x.key.Hash, j.begun) {
		c.drop(ctx, j.x.key)
	}
}

// freshen gives the stored response the life that a 304 says (RFC 9111 §4.3.4).
func (c *Cache) freshen(ctx context.Context, j *job, update http.Header, v *cachepolicy.Verdict) *store.Entry {
	e := freshened(j.stored, update, v, j.x.res)
	if c.doomed.since(j.x.key.Hash, j.begun) {
		return e
	}
	// Replace puts e only where the response that it came from still is, so what was deleted does not come back.
	if _, err := c.store.Replace(ctx, j.x.key, j.stored, e); err != nil {
		c.log.Warn("storing a validated response failed", "route", j.x.res.Rules.Route, "err", err)
	}
	return e
}

// landEntry answers all who wait with e.
func (c *Cache) landEntry(j *job, e *store.Entry, out cachepolicy.Outcome) {
	now := c.now()
	d := cachepolicy.Decision{Action: cachepolicy.Serve, Age: e.Age(now), TTL: e.Lifetime - e.Age(now), Reason: out.Reason}
	out.TTL, out.HasTTL = d.TTL, true
	l := &landing{entry: e, decision: d, outcome: out}
	j.flight.Announce(l, 0)
	j.flight.End(flight.Shared, nil)
	j.land(&Reply{Entry: e, decision: d, outcome: out})
}

// relay gives resp to the leader alone: those who wait go on alone, and the key is remembered as not worth waiting for.
func (c *Cache) relay(j *job, resp *http.Response, out cachepolicy.Outcome) {
	c.unshareable.add(j.key)
	j.flight.End(flight.Solo, nil)
	if !j.land(&Reply{response: resp, outcome: out}) {
		discard(resp)
	}
}

// failed shares the failure with all who wait.
func (c *Cache) failed(j *job, f *failure) {
	j.flight.End(flight.Failed, f)
	j.land(&Reply{failure: f, outcome: cachepolicy.Outcome{Forward: c.forwardOf(j.x, j.d)}})
}

// land hands reply to the leader. It reports false when nobody is there to take it.
func (j *job) land(reply *Reply) bool {
	if j.landed == nil {
		return false
	}
	select {
	case j.landed <- reply:
		return true
	case <-j.left:
		return false
	}
}

func (j *job) sendInterim(status int, h http.Header) {
	if j.interim == nil {
		return
	}
	select {
	case j.interim <- interim{status, h}:
	case <-j.left:
	}
}

// discard lets go of a response nobody wants.
func discard(resp *http.Response) {
	if resp != nil {
		resp.Body.Close()
	}
}

// derivableOf are the codings that may be made of a response with this header.
func derivableOf(res *Resource, status int, h http.Header, size int64, coding compress.Coding) compress.Set {
	var set compress.Set
	if coding != compress.Identity && coding != compress.Unknown && !compress.NoTransform(h) {
		set = set.With(compress.Identity)
	}
	if res.Compress == nil {
		return set
	}
	if ok, _ := res.Compress.Eligible(status, h, size, compress.Identity); !ok {
		return set
	}
	if coding == compress.Unknown {
		return set
	}
	for _, c := range res.Compress.Encodings {
		if c != coding {
			set = set.With(c)
		}
	}
	return set
}
