package cache

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/observe"
)

// Transport is the cache seen as an origin: what it is asked is looked up, fetched, shared and stored as if a client had asked for it on a route of its own.
// It may be used concurrently.
type Transport struct {
	c    *Cache
	res  *Resource
	name string // of its member in Cache-Status
	tags string // the field that what is stored tells its tags in; "": it does not
}

var _ http.RoundTripper = (*Transport)(nil)

// Transport returns the cache as an origin of what res describes. name is what it calls itself in Cache-Status. Answers that may be stored tell all their
// tags in tagField, so that what is made of them can be purged with them; "": they do not.
func (c *Cache) Transport(res *Resource, name, tagField string) *Transport {
	return &Transport{c, res, name, tagField}
}

// RoundTrip answers r, a GET without conditions and ranges, whose URL has the upstream's path and, in Scheme, what the key is to hold. Age in the answer is rounded
// up, so that nothing made of it is fresh for longer than it is. An error of the origin's is an [OriginError].
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	x, err := t.exchange(r)
	if err != nil {
		return nil, &failure{status: http.StatusBadRequest, proxyError: "http_request_error", detail: err.Error()}
	}
	reply := t.c.do(x)
	x.note(reply)
	return t.response(x, reply)
}

// Stale answers r with what is stored, if that may be used when the origin fails. The origin is not asked.
func (t *Transport) Stale(r *http.Request) (*http.Response, bool) {
	x, err := t.exchange(r)
	if err != nil || !t.res.Rules.Enabled {
		return nil, false
	}
	key, why := t.res.Rules.Key(&x.q)
	if why != cachepolicy.ReasonNone {
		return nil, false
	}
	x.key = key
	e := t.c.lookup(x)
	if e == nil && t.c.shares(t.res) {
		e = t.c.lookupShared(x.ctx, x)
	}
	if e == nil {
		return nil, false
	}
	now := t.c.Now()
	a := cachepolicy.Answer{Failure: cachepolicy.FailureTimeout, Sent: now, Received: now, Stored: headerOf(e)}
	v := t.res.Rules.Settle(&x.q, &e.Meta, &a, now, 0)
	if v.Effect != cachepolicy.KeepStale {
		return nil, false
	}
	resp, err := t.response(x, t.c.hit(e, staleDecision(e, now, v.Reason)))
	return resp, err == nil
}

// exchange is r on its way. What the whole request captured holds for its parts.
func (t *Transport) exchange(r *http.Request) (*exchange, error) {
	scheme := cmp.Or(r.URL.Scheme, "http")
	ev := &observe.Event{Start: t.c.Now(), Route: t.res.Rules.Route, Method: r.Method, Scheme: scheme, Host: r.Host}
	ev.Captured = observe.FromContext(r.Context()).Captured
	r = r.WithContext(observe.NewContext(r.Context(), ev))
	x := &exchange{ctx: r.Context(), res: t.res, r: r, q: view(r, scheme), ev: ev, target: r.URL, interim: func(int, http.Header) {}}
	if t.res.Target != nil {
		target, err := t.res.Target(r)
		if err != nil {
			return nil, err
		}
		x.target = target
	}
	return x, nil
}

// response is reply as an origin's.
func (t *Transport) response(x *exchange, reply *Reply) (*http.Response, error) {
	switch {
	case reply.failure != nil && reply.failure.gone:
		return nil, context.Cause(x.ctx)
	case reply.failure != nil:
		return nil, reply.failure
	case reply.Entry != nil:
		return t.stored(x, reply)
	case reply.landing != nil:
		return t.along(x, reply), nil
	}
	resp := *reply.response
	resp.Header = resp.Header.Clone()
	t.status(resp.Header, reply)
	return &resp, nil
}

// stored is a stored response.
func (t *Transport) stored(x *exchange, reply *Reply) (*http.Response, error) {
	e := reply.Entry
	as := t.c.represent(x, e)
	resp := t.head(x, reply, e.Status, as.Representation.Header(), reply.decision.Age)
	t.tag(resp.Header, e.Tags)
	if as.from == nil {
		resp.ContentLength = as.Body.Size
		resp.Body = io.NopCloser(&segmentReader{rest: as.Body.Segments})
		return resp, nil
	}
	body, err := compress.NewReader(&segmentReader{rest: as.from.Body.Segments}, as.from.Coding, t.res.decodeLimit())
	if err != nil {
		return nil, &failure{status: http.StatusBadGateway, proxyError: "http_protocol_error", detail: "a stored response could not be decoded", err: err}
	}
	resp.Body = body
	return resp, nil
}

// along is a response whose body is still being filled.
func (t *Transport) along(x *exchange, reply *Reply) *http.Response {
	l, src := reply.landing, reply.source
	if src == nil {
		src = l.open(x, reply.flight)
		reply.flight.Leave()
	}
	resp := t.head(x, reply, l.facts.Status, src.Representation.Header(), l.facts.Age(t.c.Now()))
	t.tag(resp.Header, l.tags)
	resp.ContentLength = src.size
	resp.Body = &sourceBody{ctx: x.ctx, src: src}
	return resp
}

func (t *Transport) head(x *exchange, reply *Reply, status int, h http.Header, age time.Duration) *http.Response {
	h["Age"] = []string{strconv.FormatInt(int64((age+time.Second-1)/time.Second), 10)}
	t.status(h, reply)
	return &http.Response{
		StatusCode: status, Header: h, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1, Request: x.r,
	}
}

// tag tells the tags of what is stored.
func (t *Transport) tag(h http.Header, tags []string) {
	if t.tags != "" && len(tags) > 0 {
		h[t.tags] = []string{strings.Join(tags, " ")}
	}
}

// status puts this cache's member behind those of caches nearer to the origin.
func (t *Transport) status(h http.Header, reply *Reply) {
	var b []byte
	if before := h["Cache-Status"]; len(before) > 0 {
		b = append(append(b, strings.Join(before, ", ")...), ", "...)
	}
	h["Cache-Status"] = []string{string(cachepolicy.AppendCacheStatus(b, t.name, reply.outcome))}
}

// sourceBody reads a growing body.
type sourceBody struct {
	ctx  context.Context
	src  *source
	rest []byte
	err  error
}

// Read implements io.Reader.
func (b *sourceBody) Read(p []byte) (int, error) {
	for len(b.rest) == 0 && b.err == nil {
		b.rest, b.err = b.src.Next(b.ctx)
	}
	if len(b.rest) == 0 {
		return 0, b.err
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close lets go of the body.
func (b *sourceBody) Close() error { return b.src.Close() }
