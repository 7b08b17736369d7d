package upstream

import (
	"errors"
	"io"
	"time"
)

var errIdle = errors.New("no more of the body came in time (timeouts.idle)")

// responseBody is a response's body on its way down. It bounds the wait for each piece, turns every failure into an *Error and ends the exchange.
// A body that breaks off never ends in a clean io.EOF.
type responseBody struct {
	io.ReadCloser
	e     *exchange
	idle  *time.Timer
	err   error // what Read ended with
	bound time.Duration
}

func newResponseBody(e *exchange, body io.ReadCloser) *responseBody {
	return &responseBody{ReadCloser: body, e: e, bound: e.pool.config.Timeouts.Idle}
}

func (b *responseBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	b.watch()
	n, err := b.ReadCloser.Read(p)
	if b.idle != nil {
		b.idle.Stop() // the time that the reader takes between two calls is not the target's
	}
	if err != nil {
		if err != io.EOF {
			err = b.e.fail(err, receiving)
		}
		b.err = err
		b.e.end()
	}
	return n, err
}

func (b *responseBody) watch() {
	switch {
	case b.bound <= 0:
	case b.idle == nil:
		b.idle = time.AfterFunc(b.bound, func() { b.e.abort(ReadTimeout, errIdle) })
	default:
		b.idle.Reset(b.bound)
	}
}

// Close gives the connection back, or closes it when the body was not read to its end.
func (b *responseBody) Close() error {
	err := b.ReadCloser.Close()
	b.e.end()
	return err
}

type readWriteCloser interface {
	io.Reader
	io.Writer
	io.Closer
}

// upgradedConn is the body of a 101: the connection itself, which from now on belongs to the caller.
type upgradedConn struct {
	readWriteCloser
	e *exchange
}

// Close closes the connection.
func (u *upgradedConn) Close() error {
	err := u.readWriteCloser.Close()
	u.e.end()
	return err
}

// CloseWrite ends the sending direction.
func (u *upgradedConn) CloseWrite() error {
	if half, ok := u.readWriteCloser.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
