package cache

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// clientBody is a request's body, of which is known whether it was read to its end. An HTTP/1 connection on which it was not must be closed: what
// is left of the body, or comes after one that broke, would be taken for the next request.
type clientBody struct {
	io.ReadCloser
	whole atomic.Bool
	late  atomic.Bool  // no more of it came in time
	read  atomic.Int64 // bytes; they are read on another goroutine, and on it for a while after the answer
	once  sync.Once
	ended chan struct{} // closed when a read has ended it, well or not
}

// lateWait is how long a request whose context has ended waits to be told by the read under way why: net/http ends the one before it returns from the other.
const lateWait = 50 * time.Millisecond

// Read reads from the body.
func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Add(int64(n))
	switch {
	case err == io.EOF:
		b.whole.Store(true)
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.late.Store(true)
	}
	if err != nil {
		b.once.Do(func() { close(b.ended) })
	}
	return n, err
}

// tooLate reports whether the client's body did not come in time. net/http takes that for a client that has gone, and ends the request's context.
func (x *exchange) tooLate() bool {
	if x.body == nil {
		return false
	}
	if x.ctx.Err() != nil {
		select {
		case <-x.body.ended:
		case <-time.After(lateWait):
		}
	}
	return x.body.late.Load()
}

// late is the reply to it (RFC 9110 §15.5.9).
func (x *exchange) late(err error) *Reply {
	return &Reply{failure: &failure{status: http.StatusRequestTimeout, proxyError: "http_request_error", detail: "the request body did not come in time", err: err}}
}

// watchBody has the body of x watched, and lets the answer begin before it was read: an origin may answer early, and net/http would first wait
// for the rest. It then no longer looks after the connection either, which closeUnread does.
func (x *exchange) watchBody(w http.ResponseWriter) {
	if x.r.ContentLength == 0 {
		return
	}
	x.body = &clientBody{ReadCloser: x.r.Body, ended: make(chan struct{})}
	r := *x.r
	r.Body = x.body
	x.r = &r
	if r.ProtoMajor == 1 {
		_ = http.NewResponseController(w).EnableFullDuplex() // a writer that does not know it has no such habit
	}
}

// noteBody adds what was read of the body to what came from the client.
func (x *exchange) noteBody() {
	if x.body != nil {
		x.ev.BytesIn += x.body.read.Load()
	}
}

// closeUnread has the connection closed after an answer that begins before the request's body was read to its end, and after a chunked one: it may have
// come with a Content-Length too, of which net/http does not tell, and then it must be the last (RFC 9112 §6.1).
func (x *exchange) closeUnread(h http.Header) {
	if x.body != nil && x.r.ProtoMajor == 1 && (!x.body.whole.Load() || len(x.r.TransferEncoding) > 0) {
		h["Connection"] = []string{"close"}
	}
}
