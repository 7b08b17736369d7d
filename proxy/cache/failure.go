package cache

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/upstream"
)

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
	if e, ok := errors.AsType[*upstream.Error](err); ok {
		return &failure{status: e.Kind.Status(), proxyError: e.Kind.ProxyStatus(), detail: "the upstream did not answer", err: err}
	}
	return &failure{status: http.StatusBadGateway, proxyError: "proxy_internal_error", detail: "the upstream did not answer", err: err}
}

// failureKind is what cachepolicy is told of err.
func failureKind(err error) cachepolicy.Failure {
	e, ok := errors.AsType[*upstream.Error](err)
	switch {
	case !ok && errors.Is(err, context.DeadlineExceeded):
		return cachepolicy.FailureTimeout
	case !ok:
		return cachepolicy.FailureUnreachable
	case e.Kind.Status() == http.StatusGatewayTimeout:
		return cachepolicy.FailureTimeout
	case e.Kind.Status() == http.StatusServiceUnavailable:
		return cachepolicy.FailureOverload
	}
	return cachepolicy.FailureUnreachable
}

// gone is the reply to a client that has left.
func gone(ctx context.Context) *Reply {
	return &Reply{failure: &failure{gone: true, err: context.Cause(ctx)}}
}

// failure writes the gateway's own answer.
func (d *delivery) failure() {
	f := d.reply.failure
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
	edge.WriteError(d.w, d.x.r, f.status, f.proxyError, f.detail)
}
