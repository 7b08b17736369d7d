package cache

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/penstock/penstock/cachepolicy"
)

// OriginError is an error of an origin that knows what a client is to be told of it.
type OriginError interface {
	error
	Status() int         // to answer with, where there is nothing better
	ProxyStatus() string // the error type of RFC 9209 §2.3
	// It may also have Detail() string, a line for the client that says more than the status does.
}

// failure is an answer of the gateway's own: there is nothing else to give.
type failure struct {
	status     int
	proxyError string // RFC 9209 error type; "" when nothing failed on the way
	detail     string // one line, for the client
	retryAfter int    // seconds; 0: not said
	gone       bool   // the client has left: there is nobody to answer
	err        error
}

// Error makes a failure the error that a flight shares.
func (f *failure) Error() string { return f.detail }

// Unwrap gives the cause.
func (f *failure) Unwrap() error { return f.err }

// failureOf is what the client is told of err.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if e, ok := errors.AsType[OriginError](err); ok {
		f := &failure{status: e.Status(), proxyError: e.ProxyStatus(), detail: failureDetail(e.Status()), err: err}
		if said, ok := e.(interface{ Detail() string }); ok {
			f.detail = said.Detail()
		}
		return f
	}
	return &failure{status: http.StatusBadGateway, proxyError: "proxy_internal_error", detail: failureDetail(http.StatusBadGateway), err: err}
}

// failureDetail is the sentence for the client of a failure with the given status.
func failureDetail(status int) string {
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

// failureKind is what cachepolicy is told of err.
func failureKind(err error) cachepolicy.Failure {
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

// gone is the reply to a client that has left.
func gone(ctx context.Context) *Reply {
	return &Reply{failure: &failure{gone: true, err: context.Cause(ctx)}}
}

// invalid is what the client is told of a response that an origin must not send.
func invalid(detail string) *failure {
	return &failure{status: http.StatusBadGateway, proxyError: "http_protocol_error", detail: detail}
}

// failure writes the gateway's own answer.
func (d *delivery) failure(f *failure) {
	d.x.ev.Err, d.x.ev.ProxyStatus = f.err, f.proxyError
	if f.gone {
		panic(http.ErrAbortHandler)
	}
	h := d.w.Header()
	if f.retryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(f.retryAfter)}
	}
	d.cacheStatus(h)
	d.x.ev.Status = f.status
	d.x.closeUnread(h)
	d.c.WriteError(d.w, d.x.r, f.status, f.proxyError, f.detail)
}
