package fill

import (
	"context"
	"io"
	"net/http"
)

// callContext owns the context of a call to the origin. The context ends with the fill. If the body goes
// to one client alone, the context ends with the body instead.
type callContext struct {
	cancel context.CancelCauseFunc
	given  bool
}

// keep passes the context on to resp's body, which ends the context when it is closed.
func (h *callContext) keep(resp *http.Response) {
	h.given = true
	resp.Body = &callBody{ReadCloser: resp.Body, cancel: h.cancel}
}

// release ends the context unless keep has passed it on.
func (h *callContext) release() {
	if !h.given {
		h.cancel(nil)
	}
}

// callBody is a body that ends its call's context when it is closed.
type callBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
	untie  func() bool // nil: no client's context ends the call
}

// EndWith ends the call when ctx ends. ctx is the context of the response's only client. Without it a
// read that waits for a silent origin would not notice that the client has left.
func EndWith(ctx context.Context, resp *http.Response) {
	if body, ok := resp.Body.(*callBody); ok {
		body.untie = context.AfterFunc(ctx, func() { body.cancel(nil) })
	}
}

// Close closes the body and ends the call.
func (b *callBody) Close() error {
	defer b.cancel(nil)
	if b.untie != nil {
		b.untie()
	}
	return b.ReadCloser.Close()
}
