package cache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/observe"
)

// Fetched is a response that something within the gateway asked for: whole, and without a content coding. Its header and content are the
// caller's to read, not to change.
type Fetched struct {
	Status int
	Header http.Header // with Age and Cache-Status, as a client would get them
	Body   []byte
	// Fresh is how long it stays fresh from now on; 0 or less: it is stale, or nothing is known of that.
	Fresh time.Duration
	// Shared is set where the response may answer others than the one it was asked for.
	Shared bool
	// Stale is set where it is served only because the origin fails.
	Stale bool
	// Silent is set where it may not be reused only because it says nothing of how long.
	Silent bool
}

// ErrContentTooLarge is returned for a response whose content is larger than its taker holds.
var ErrContentTooLarge = errors.New("the content is larger than what is taken of it")

// FetchError is why there is no response: what a client would have been told.
type FetchError struct {
	Code   int    // the status code
	Kind   string // error type of RFC 9209 §2.3, "" where none fits
	Detail string
	Err    error // the cause; may be nil
}

// Error says what went wrong, for logs.
func (e *FetchError) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return e.Detail
}

// Unwrap gives the cause.
func (e *FetchError) Unwrap() error { return e.Err }

// Status is the status to answer with.
func (e *FetchError) Status() int { return e.Code }

// ProxyStatus is the error type of RFC 9209 §2.3.
func (e *FetchError) ProxyStatus() string { return e.Kind }

// Fetch asks res as a client would: what is stored answers, requests for the same share one call, and what comes is stored. req is in canonical form,
// its header is left alone, and observe.Event of ctx tells whose request it is made for. No more than limit bytes of content are taken.
// It may be called concurrently. What the call brings is noted in the Event of its own that Filled is told of.
func (c *Cache) Fetch(ctx context.Context, res *Resource, req *http.Request, limit int64) (got *Fetched, err error) {
	ctx, ev := observe.StartPart(ctx, "cache.fetch")
	ev.Start, ev.Route, ev.Method, ev.Background = c.Now(), res.Rules.Route, req.Method, true
	defer func() { ev.EndPart(err) }()
	r := req.WithContext(ctx)
	r.Header = req.Header.Clone()
	x := &exchange{ctx: ctx, res: res, r: r, q: view(r, ev.Scheme), ev: ev, target: r.URL, interim: func(int, http.Header) {}}
	if res.Target != nil {
		if x.target, err = res.Target(r); err != nil {
			return nil, &FetchError{Code: http.StatusBadRequest, Kind: "http_request_error", Detail: err.Error(), Err: err}
		}
	}
	reply := c.do(x)
	w := &taker{header: make(http.Header), limit: limit}
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				panic(p)
			}
			got, err = nil, w.brokenOff(ev.Err)
		}
	}()
	if f := reply.failure; f != nil {
		return nil, f.asFetchError(ctx)
	}
	c.deliver(w, x, reply)
	if reply.response != nil && reply.call == nil {
		c.filled(ev) // it was passed: no fill has told of the call
	}
	if w.over {
		return nil, ErrContentTooLarge
	}
	return c.fetched(w, reply), nil
}

// fetched is what was taken, with what is known of its reuse.
func (c *Cache) fetched(w *taker, reply *Reply) *Fetched {
	got := &Fetched{Status: w.status, Header: w.header, Body: w.body}
	switch reply.outcome.Reason {
	case cachepolicy.ReasonUnreachable, cachepolicy.ReasonTimeout, cachepolicy.ReasonInvalidResponse, cachepolicy.ReasonOverload, cachepolicy.ReasonOriginError:
		got.Stale = reply.Entry != nil
	}
	var m *cachepolicy.Meta
	switch {
	case reply.Entry != nil:
		m = &reply.Entry.Meta
	case reply.landing != nil:
		m = reply.landing.meta()
	default:
		why := reply.outcome.Reason
		got.Silent = why == cachepolicy.ReasonNoFreshness || why == cachepolicy.ReasonStatus || why == cachepolicy.ReasonErrorStatus
		return got
	}
	got.Shared = true
	if m.Flags&cachepolicy.FlagNoCache == 0 {
		got.Fresh = m.Lifetime - m.Age(c.Now())
	}
	return got
}

// asFetchError is f for a caller within the gateway.
func (f *failure) asFetchError(ctx context.Context) error {
	if f.gone {
		return fmt.Errorf("waiting for an answer: %w", context.Cause(ctx))
	}
	return &FetchError{Code: f.status, Kind: f.proxyError, Detail: f.detail, Err: f.err}
}

// taker takes a response into memory.
type taker struct {
	header http.Header
	status int
	body   []byte
	limit  int64
	over   bool
}

// Header is the header section.
func (w *taker) Header() http.Header { return w.header }

// WriteHeader takes the status; interim responses are for clients.
func (w *taker) WriteHeader(status int) {
	if status >= http.StatusOK && w.status == 0 {
		w.status = status
	}
}

// Write takes content up to the limit. Beyond it the writer is a client that has gone.
func (w *taker) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if int64(len(w.body))+int64(len(b)) > w.limit {
		w.over = true
		return 0, ErrContentTooLarge
	}
	w.body = append(w.body, b...)
	return len(b), nil
}

// brokenOff is the error of a response that was not delivered to its end.
func (w *taker) brokenOff(cause error) error {
	if w.over {
		return ErrContentTooLarge
	}
	return &FetchError{Code: http.StatusBadGateway, Kind: "http_response_incomplete", Detail: "the answer broke off", Err: cause}
}
