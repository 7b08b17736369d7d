package cache

import (
	"context"
	"io"
	"net/http"
)

// holder owns the context of a call to the origin. The context ends with the fill. If the body goes
// to one client alone, the context ends with the body instead.
type holder struct {
	cancel context.CancelCauseFunc
	given  bool
}

// keep passes the context on to resp's body, which ends the context when it is closed.
func (h *holder) keep(resp *http.Response) {
	h.given = true
	resp.Body = &heldBody{ReadCloser: resp.Body, cancel: h.cancel}
}

// release ends the context unless keep has passed it on.
func (h *holder) release() {
	if !h.given {
		h.cancel(nil)
	}
}

// heldBody is a body that ends its call's context when it is closed.
type heldBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
	untie  func() bool // nil: no client's context ends the call
}

// tie ends the call when ctx ends. ctx is the context of the response's only client. Without it a
// read that waits for a silent origin would not notice that the client has left.
func tie(ctx context.Context, resp *http.Response) {
	if body, ok := resp.Body.(*heldBody); ok {
		body.untie = context.AfterFunc(ctx, func() { body.cancel(nil) })
	}
}

// Close closes the body and ends the call.
func (b *heldBody) Close() error {
	defer b.cancel(nil)
	if b.untie != nil {
		b.untie()
	}
	return b.ReadCloser.Close()
}
