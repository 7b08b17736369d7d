package cache

import (
	"context"
	"io"
	"net/http"
)

// holder owns the context of a call to the origin: it ends with the fill, or with the body where that goes to one client.
type holder struct {
	cancel context.CancelFunc
	given  bool
}

// keep hands the context on to resp's body.
func (h *holder) keep(resp *http.Response) {
	h.given = true
	resp.Body = &heldBody{ReadCloser: resp.Body, cancel: h.cancel}
}

// release ends the context if it is still the fill's.
func (h *holder) release() {
	if !h.given {
		h.cancel()
	}
}

// heldBody is a body that ends its call's context when it is closed.
type heldBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close closes the body and ends the call.
func (b *heldBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
