package std

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
	"github.com/penstock/penstock/proxy/upstream/hop"
	"github.com/penstock/penstock/proxy/upstream/link"
)

// responseBody is the body of a response. It bounds the wait for each piece, turns each failure
// into an *Error and ends the attempt. If the body breaks off, Read never returns a clean io.EOF.
type responseBody struct {
	io.ReadCloser
	attempt *attempt
	idle    *time.Timer
	err     error // Read's final error
	bound   time.Duration

	closes bool // it ends with the connection
	resp   *http.Response
}

func newResponseBody(e *attempt, resp *http.Response) *responseBody {
	body := resp.Body
	if resp.ProtoMajor == 2 && resp.ContentLength >= 0 {
		body = &exactBody{ReadCloser: body, left: resp.ContentLength}
	}
	return &responseBody{ReadCloser: body, attempt: e, bound: e.bounds.Idle, closes: closeDelimited(resp), resp: resp}
}

func (b *responseBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	b.watch()
	b.attempt.slot.Takes.Store(0)
	n, err := b.ReadCloser.Read(p)
	b.attempt.slot.Takes.Store(time.Now().UnixNano())
	if b.idle != nil {
		b.idle.Stop() // the time that the reader takes between two calls is not the target's
	}
	if err == io.EOF {
		err = wholeEnd(b.closes, b.attempt.conn.Load())
		hop.CleanTrailer(b.resp.Trailer)
	}
	if err != nil {
		if err != io.EOF {
			err = b.attempt.fail(err, fault.Receiving)
		}
		b.err = err
		b.attempt.end()
	}
	return n, err
}

func (b *responseBody) watch() {
	switch {
	case b.bound <= 0:
	case b.idle == nil:
		b.idle = time.AfterFunc(b.bound, func() { b.attempt.abort(fault.ReadTimeout, fault.ErrIdle) })
	default:
		b.idle.Reset(b.bound)
	}
}

// Close gives the connection back, or closes it when the body was not read to its end.
func (b *responseBody) Close() error {
	err := b.ReadCloser.Close()
	b.attempt.end()
	return err
}

// upgradedConn is the body of a 101: the connection itself, which from now on belongs to the
// caller.
type upgradedConn struct {
	io.ReadWriteCloser
	attempt *attempt
}

// Close closes the connection.
func (u *upgradedConn) Close() error {
	err := u.ReadWriteCloser.Close()
	u.attempt.end()
	return err
}

// CloseWrite closes the sending direction.
func (u *upgradedConn) CloseWrite() error {
	if half, ok := u.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// closeDelimited reports whether the body of a response over HTTP/1 ends with its connection.
func closeDelimited(resp *http.Response) bool {
	return resp.ProtoMajor == 1 && resp.ContentLength < 0 && len(resp.TransferEncoding) == 0
}

// wholeEnd is the end of a body that ended in io.EOF: io.EOF itself, or io.ErrUnexpectedEOF if the
// body ends with its connection and the TCP connection ended without TLS's closing alert. Anyone
// between the target and the gateway can have cut it then (RFC 9112 §9.8).
func wholeEnd(closes bool, c *link.Conn) error {
	if closes && c != nil && c.Ended.Load() {
		return io.ErrUnexpectedEOF
	}
	return io.EOF
}
