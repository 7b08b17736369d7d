package send

import (
	"context"
	"net/http"
	"sync"

	"github.com/penstock/penstock/proxy/upstream/fault"
	"github.com/penstock/penstock/proxy/upstream/hop"
)

// MaxInterim bounds the interim responses to one request: a target that sends more is not going to
// answer.
const MaxInterim = 16

type interimKey struct{}

// WithInterim returns a context that has interim responses delivered to f as they come: 103 and
// others, but not 100 and 101. f is called while RoundTrip runs, never after it has returned, and
// may keep the header.
func WithInterim(ctx context.Context, f func(status int, h http.Header)) context.Context {
	return context.WithValue(ctx, interimKey{}, f)
}

// Interim hands interim responses on. The transport reads them in a goroutine of its own, which may
// still be at it when RoundTrip returns because its caller went away; the lock keeps deliver from
// being called then.
type Interim struct {
	mu      sync.Mutex
	deliver func(status int, h http.Header)
	Count   int
	closed  bool
}

// DeliverTo has interim responses delivered as ctx says.
func (i *Interim) DeliverTo(ctx context.Context) {
	i.deliver, _ = ctx.Value(interimKey{}).(func(int, http.Header))
}

// Got checks and delivers one interim response.
func (i *Interim) Got(status int, h http.Header) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.Count++; i.Count > MaxInterim {
		return &fault.Error{Kind: fault.ProtocolError, Err: fault.ErrInterim}
	}
	if i.closed || i.deliver == nil || status == http.StatusContinue {
		return nil
	}
	own := h.Clone()
	if err := hop.CheckFields(own); err != nil {
		return &fault.Error{Kind: fault.ProtocolError, Err: err}
	}
	hop.Strip(own)
	delete(own, "Content-Length")
	i.deliver(status, own)
	return nil
}

// Close ends the delivery.
func (i *Interim) Close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
}
