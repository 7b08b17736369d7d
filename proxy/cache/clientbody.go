package cache

import (
	"io"
	"net/http"
	"sync/atomic"
)

// clientBody is a request's body, of which is known whether it was read to its end. An HTTP/1 connection on which it was not must be closed: what
// is left of the body, or comes after one that broke, would be taken for the next request.
type clientBody struct {
	io.ReadCloser
	whole atomic.Bool
}

// Read reads from the body.
func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.whole.Store(true)
	}
	return n, err
}

// watchBody has the body of x watched, and lets the answer begin before it was read: an origin may answer early, and net/http would first wait
// for the rest. It then no longer looks after the connection either, which closeUnread does.
func (x *exchange) watchBody(w http.ResponseWriter) {
	if x.r.ContentLength == 0 {
		return
	}
	x.body = &clientBody{ReadCloser: x.r.Body}
	r := *x.r
	r.Body = x.body
	x.r = &r
	if r.ProtoMajor == 1 {
		_ = http.NewResponseController(w).EnableFullDuplex() // a writer that does not know it has no such habit
	}
}

// closeUnread has the connection closed after an answer that begins before the request's body was read to its end, and after a chunked one: it may have
// come with a Content-Length too, of which net/http does not tell, and then it must be the last (RFC 9112 §6.1).
func (x *exchange) closeUnread(h http.Header) {
	if x.body != nil && x.r.ProtoMajor == 1 && (!x.body.whole.Load() || len(x.r.TransferEncoding) > 0) {
		h["Connection"] = []string{"close"}
	}
}
