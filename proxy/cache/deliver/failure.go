package deliver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/penstock/penstock/cachepolicy"
)

// OriginError is an error of an origin that determines the answer to the client.
type OriginError interface {
	error
	Status() int         // of the answer, if the gateway has nothing better
	ProxyStatus() string // the error type of RFC 9209 §2.3
	// It may also have Detail() string, a line for the client that says more than the status, or
	// "". It may have RetryAfter() int, the seconds after which the client may retry.
}

// Failure is an answer of the gateway's own, in place of a response that it does not have.
type Failure struct {
	Status     int
	ProxyError string // RFC 9209 error type; "" if no call failed
	Detail     string // one line, for the client
	RetryAfter int    // seconds; 0 if not known
	Gone       bool   // true if the client has left, so that there is no answer
	Page       *Page
	Err        error
}

// Page is the error page in place of a failure, shared by all requests that wait for it. It is
// immutable.
type Page struct {
	status  int
	header  http.Header
	content []byte
}

// Response returns the page as a response for one client.
func (p *Page) Response() *http.Response {
	return &http.Response{
		StatusCode: p.status, Header: p.header.Clone(), ContentLength: int64(len(p.content)), Body: io.NopCloser(bytes.NewReader(p.content)),
	}
}

// PageOf returns the content of resp as a Page. It replaces resp's body, so that the caller can
// still read it.
func PageOf(resp *http.Response) (*Page, error) {
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("reading an error page: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(content))
	return &Page{resp.StatusCode, resp.Header.Clone(), content}, nil
}

// Error returns the Detail. It makes a Failure an error, so that a flight can share it.
func (f *Failure) Error() string { return f.Detail }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// FailureOf returns the answer to the client for err. It is err itself if err wraps a Failure.
func FailureOf(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	if e, ok := errors.AsType[OriginError](err); ok {
		f := &Failure{Status: e.Status(), ProxyError: e.ProxyStatus(), Detail: FailureDetail(e.Status()), Err: err}
		if said, ok := e.(interface{ Detail() string }); ok && said.Detail() != "" {
			f.Detail = said.Detail()
		}
		if said, ok := e.(interface{ RetryAfter() int }); ok {
			f.RetryAfter = said.RetryAfter()
		}
		return f
	}
	return &Failure{Status: http.StatusBadGateway, ProxyError: "proxy_internal_error", Detail: FailureDetail(http.StatusBadGateway), Err: err}
}

// FailureDetail returns the sentence that tells the client about a failure with the given status.
func FailureDetail(status int) string {
	switch {
	case status == http.StatusRequestEntityTooLarge:
		return "the request body is too large"
	case status == http.StatusServiceUnavailable:
		return "the upstream can't take more requests now"
	case status == http.StatusGatewayTimeout:
		return "the upstream did not answer in time"
	case status < http.StatusInternalServerError:
		return "the request could not be forwarded"
	}
	return "the upstream did not answer"
}

// FailureKind returns the kind of failure that err is for cachepolicy.
func FailureKind(err error) cachepolicy.Failure {
	e, ok := errors.AsType[OriginError](err)
	switch {
	case !ok && errors.Is(err, context.DeadlineExceeded):
		return cachepolicy.FailureTimeout
	case !ok:
		return cachepolicy.FailureUnreachable
	case e.Status() == http.StatusGatewayTimeout:
		return cachepolicy.FailureTimeout
	case e.Status() == http.StatusServiceUnavailable:
		return cachepolicy.FailureOverload
	}
	return cachepolicy.FailureUnreachable
}

// ClientGone returns the Failure for a client that has left.
func ClientGone(ctx context.Context) *Failure {
	return &Failure{Gone: true, Err: context.Cause(ctx)}
}

// Invalid returns the Failure for a response that an origin must not send.
func Invalid(detail string) *Failure {
	return &Failure{Status: http.StatusBadGateway, ProxyError: "http_protocol_error", Detail: detail}
}

// Fail writes the gateway's own answer. If the client has gone, it panics with
// http.ErrAbortHandler.
func (d *Delivery) Fail(f *Failure) {
	d.Event.Err, d.Event.ProxyStatus = f.Err, f.ProxyError
	if f.Gone {
		panic(http.ErrAbortHandler)
	}
	h := d.Writer.Header()
	if f.ProxyError == "connection_limit_reached" && f.Err != nil {
		d.Server.Log.Warn("a request finds its upstream full and is answered with 503", "route", d.Event.Route, "error", f.Err)
	}
	if f.Status == http.StatusServiceUnavailable && f.ProxyError == "proxy_internal_error" && f.Err != nil {
		d.Server.Log.Warn("the gateway itself cannot call an upstream, so a request is answered with 503", "reason", f.Detail, "route", d.Event.Route, "error", f.Err)
	}
	if f.RetryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(f.RetryAfter)}
	}
	d.cacheStatus(h)
	d.Event.Status = f.Status
	d.Body.closeUnread(d.Request, h)
	d.Server.WriteError(d.Writer, d.Request, f.Status, f.ProxyError, f.Detail)
}
