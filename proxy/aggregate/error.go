package aggregate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Error says why a part can't be had.
type Error struct {
	Part   string
	Code   int         // the status that the part was answered with; 0: it was not answered, or with something that is no use
	Header http.Header // of that answer; nil: none
	Kind   string      // error type of RFC 9209; "" with a Code
	What   string      // in words, for whoever asked
	Err    error
}

// Error gives the part and the reason.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("part %s: %s: %v", e.Part, e.What, e.Err)
	}
	return "part " + e.Part + ": " + e.What
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Detail is the sentence for the client. It tells which part, and nothing of what is behind it.
func (e *Error) Detail() string { return "part " + e.Part + ": " + e.What }

// Status is the status to answer with.
func (e *Error) Status() int {
	switch {
	case e.Code >= 400:
		return e.Code
	case e.Kind == "http_response_timeout" || e.Kind == "connection_timeout" || e.Kind == "connection_read_timeout":
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

// ProxyStatus is the error type of RFC 9209.
func (e *Error) ProxyStatus() string { return e.Kind }

// originError is an error that knows what a client is to be told of it.
type originError interface {
	error
	Status() int
	ProxyStatus() string
}

// callError is what err, of a call, makes of its part.
func callError(part string, err error) *Error {
	e := &Error{Part: part, Kind: "proxy_internal_error", What: "the upstream did not answer", Err: err}
	known, ok := errors.AsType[originError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		e.Kind, e.What = "http_response_timeout", "the upstream did not answer in time"
	case ok:
		e.Kind = known.ProxyStatus()
		if e.Status() == http.StatusGatewayTimeout {
			e.What = "the upstream did not answer in time"
		}
		if known.Status() == http.StatusServiceUnavailable {
			e.Code, e.What = http.StatusServiceUnavailable, "the upstream can't take more requests now"
		}
	}
	return e
}

// useless is the error of a part whose answer is none that can be used.
func useless(part, what string, err error) *Error {
	return &Error{Part: part, Kind: "http_protocol_error", What: what, Err: err}
}

// missing is the error of a part for which a value is missing.
func missing(part, what string, err error) *Error {
	return &Error{Part: part, Kind: "http_request_error", What: what, Err: err}
}
