package deliver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

// ClientBody is a request's body that knows whether it was read to its end. If an HTTP/1 request's
// body was not, the connection must be closed: the server would take the rest of the body, or the
// bytes behind a broken body, for the next request.
type ClientBody struct {
	io.ReadCloser
	whole atomic.Bool
	late  atomic.Bool  // the rest of the body did not arrive in time
	read  atomic.Int64 // bytes; another goroutine reads them, and may read on for a while after the answer
	once  sync.Once
	ended chan struct{} // closed when a read has ended the body, with or without an error
}

// lateWait bounds how long TooLate waits for the read under way after the request's context has
// ended. net/http ends the context before the read returns the reason.
const lateWait = 50 * time.Millisecond

// Read reads from the body and records how it ends.
func (b *ClientBody) Read(p []byte) (int, error) {
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

// TooLate reports whether the client's body did not arrive in time. net/http treats that like a
// client that has gone, and ends the request's context.
func (b *ClientBody) TooLate(ctx context.Context) bool {
	if b == nil {
		return false
	}
	if ctx.Err() != nil {
		select {
		case <-b.ended:
		case <-time.After(lateWait):
		}
	}
	return b.late.Load()
}

// WatchBody returns r with its body watched. The ClientBody is nil if r has no body. It lets the
// response begin before the body is read, because an origin may answer early and net/http would
// wait for the rest of the body first. net/http then no longer closes the connection of an unread
// body, so closeUnread does.
func WatchBody(w http.ResponseWriter, r *http.Request) (*http.Request, *ClientBody) {
	if r.ContentLength == 0 {
		return r, nil
	}
	body := &ClientBody{ReadCloser: r.Body, ended: make(chan struct{})}
	watched := *r
	watched.Body = body
	if r.ProtoMajor == 1 {
		_ = http.NewResponseController(w).EnableFullDuplex() // a writer without this method writes without waiting
	}
	return &watched, body
}

// NoteRead adds the bytes that were read of the body to the request's Event.
func (b *ClientBody) NoteRead(ev *observe.Event) {
	if b != nil {
		ev.BytesIn += b.read.Load()
	}
}

// closeUnread makes the server close the connection after the response to r, if the response begins
// before the body was read to its end.
func (b *ClientBody) closeUnread(r *http.Request, h http.Header) {
	if b != nil && r.ProtoMajor == 1 && !b.whole.Load() {
		h["Connection"] = []string{"close"}
	}
}
