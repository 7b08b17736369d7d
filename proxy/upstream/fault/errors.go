package fault

import (
	"errors"
)

// The failures that several parts of the package tell apart.
var (
	ErrTotal     = errors.New("the response did not end in time (timeouts.total)")
	ErrFirstByte = errors.New("no response came in time (timeouts.first_byte)")
	ErrIdle      = errors.New("no more of the body came in time (timeouts.idle)")
	ErrReach     = errors.New("no connection became free in time")
	ErrEarly     = errors.New("the connection was closed, or held bytes that answer no request")
	ErrInterim   = errors.New("too many interim responses")
	// ErrTaken is the error that net/http reads from a body that it has closed itself. It is not
	// the client's failure.
	ErrTaken = errors.New("the connection was given up while the request's body was sent over it")
	// ErrHeaderTooLarge says that a header section, or that of the trailers, is larger than
	// allowed.
	ErrHeaderTooLarge = errors.New("the header section is too large")
	// ErrFraming says that the end of a response is in doubt.
	ErrFraming = errors.New("the response has a transfer coding beside a Content-Length, or over HTTP/1.0: its end is in doubt")
)
