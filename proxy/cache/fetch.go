package cache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/observe"
)

// Fetched is a response to a request from within the gateway. It is complete and has no content
// coding. The caller may read its header and content, but must not change them.
type Fetched struct {
	Status int
	Header http.Header // with Age and Cache-Status, as a client gets them
	Body   []byte
	Tags   []string // set if the response is stored or shared
	// Fresh is how long the response stays fresh from now on. 0 or less: it is stale, or its
	// lifetime is not known.
	Fresh time.Duration
	// Shared is true if the response may answer other requests as well.
	Shared bool
	// Stale is true if the response is served only because the origin fails.
	Stale bool
	// Silent is true if the only reason against reuse is that the response names no lifetime.
	Silent bool
}

// ErrContentTooLarge is returned if the content of a response is larger than the caller's limit.
var ErrContentTooLarge = errors.New("the content exceeds the limit")

// FetchError tells why there is no response. It holds the error response that a client would get.
type FetchError struct {
	Code   int    // the status code
	Kind   string // error type of RFC 9209 §2.3; "": no type fits
	Detail string
	Err    error // the cause; may be nil
}

// Error returns the cause, or Detail if there is no cause. It is for logs.
func (e *FetchError) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return e.Detail
}

// Unwrap returns the cause.
func (e *FetchError) Unwrap() error { return e.Err }

// Status returns the status for the error response.
func (e *FetchError) Status() int { return e.Code }

// ProxyStatus returns the error type of RFC 9209 §2.3.
func (e *FetchError) ProxyStatus() string { return e.Kind }

// Fetch asks res as a client would. A stored response answers, equal requests share one call, and
// the response is stored if its policy allows it. req must be in canonical form, and Fetch does not
// change its header. The observe.Event in ctx names the request on whose behalf Fetch asks. Fetch
// may be called concurrently.
//
// If the content exceeds limit bytes, the error is ErrContentTooLarge. If the gateway would answer
// a client with an error of its own, or the answer breaks off, it is a *FetchError. The facts of
// the call are in an Event of its own, which Filled receives.
func (c *Cache) Fetch(ctx context.Context, res *Resource, req *http.Request, limit int64) (got *Fetched, err error) {
	ctx, ev := observe.StartPart(ctx, "cache.fetch")
	ev.Start, ev.Route, ev.Method, ev.Background = c.Now(), res.Rules.Route, req.Method, true
	defer func() { ev.EndPart(err) }()
	r := req.WithContext(ctx)
	r.Header = req.Header.Clone()
	x, err := newRequest(res, r, ev, nil)
	if err != nil {
		return nil, &FetchError{Code: http.StatusBadRequest, Kind: "http_request_error", Detail: err.Error(), Err: err}
	}
	x.interim = func(int, http.Header) {}
	reply := c.do(x)
	w := &responseBuffer{header: make(http.Header), limit: limit}
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				panic(p)
			}
			got, err = nil, w.brokenOff(ev.Err)
		}
	}()
	if f := reply.Failure; f != nil {
		return nil, fetchErrorOf(ctx, f)
	}
	c.deliver(w, x, reply)
	if reply.Response != nil && reply.Call == nil {
		c.fills.ReportFilled(ev) // the request was passed, so no fill has reported the call
	}
	if w.over {
		return nil, ErrContentTooLarge
	}
	return c.fetched(w, reply), nil
}

// PageFetcher returns the function that fetches the error pages whose resource is res.
func (c *Cache) PageFetcher(res *Resource) func(context.Context, *http.Request) (*fill.PageContent, error) {
	return func(ctx context.Context, r *http.Request) (*fill.PageContent, error) {
		got, err := c.Fetch(ctx, res, r, res.MaxObject)
		if err != nil {
			return nil, err
		}
		return &fill.PageContent{Status: got.Status, Header: got.Header, Body: got.Body, Tags: got.Tags}, nil
	}
}

// fetched returns the taken response with the facts about its reuse.
func (c *Cache) fetched(w *responseBuffer, reply *fill.Reply) *Fetched {
	got := &Fetched{Status: w.status, Header: w.header, Body: w.body}
	switch reply.Status.Reason {
	case cachepolicy.ReasonUnreachable, cachepolicy.ReasonTimeout, cachepolicy.ReasonInvalidResponse, cachepolicy.ReasonOverload, cachepolicy.ReasonOriginError:
		got.Stale = reply.Entry != nil
	}
	var m *cachepolicy.Meta
	switch {
	case reply.Entry != nil:
		m, got.Tags = &reply.Entry.Meta, reply.Entry.Tags
	case reply.Inflight != nil:
		m, got.Tags = reply.Inflight.Meta(), reply.Inflight.Draft.Tags
	default:
		why := reply.Status.Reason
		got.Silent = why == cachepolicy.ReasonNoFreshness || why == cachepolicy.ReasonStatus || why == cachepolicy.ReasonErrorStatus
		return got
	}
	got.Shared = true
	if m.Flags&cachepolicy.FlagNoCache == 0 {
		got.Fresh = m.Lifetime - m.Age(c.Now())
	}
	return got
}

// fetchErrorOf converts f into an error for a caller within the gateway. If the caller has given
// up, the error wraps the cause from ctx.
func fetchErrorOf(ctx context.Context, f *deliver.Failure) error {
	if f.Gone {
		return fmt.Errorf("waiting for an answer: %w", context.Cause(ctx))
	}
	return &FetchError{Code: f.Status, Kind: f.ProxyError, Detail: f.Detail, Err: f.Err}
}

// responseBuffer is an http.ResponseWriter that takes a response into memory.
type responseBuffer struct {
	header http.Header
	status int
	body   []byte
	limit  int64
	over   bool
}

// Header returns the header section.
func (w *responseBuffer) Header() http.Header { return w.header }

// WriteHeader takes the status. It ignores interim responses, which are for clients.
func (w *responseBuffer) WriteHeader(status int) {
	if status >= http.StatusOK && w.status == 0 {
		w.status = status
	}
}

// Write takes content up to the limit. Beyond the limit it fails, as the writer of a client that
// has left does.
func (w *responseBuffer) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if int64(len(w.body))+int64(len(b)) > w.limit {
		w.over = true
		return 0, ErrContentTooLarge
	}
	w.body = append(w.body, b...)
	return len(b), nil
}

// brokenOff returns the error for a response that was not delivered to its end: ErrContentTooLarge
// if the content exceeds the limit, and else a *FetchError with cause.
func (w *responseBuffer) brokenOff(cause error) error {
	if w.over {
		return ErrContentTooLarge
	}
	return &FetchError{Code: http.StatusBadGateway, Kind: "http_response_incomplete", Detail: "the answer broke off", Err: cause}
}
