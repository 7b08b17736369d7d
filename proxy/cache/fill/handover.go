package fill

import (
	"context"
	"net/http"
	"sync"
)

// maxInterim is the number of interim responses that can wait for a client. Further ones are
// dropped, as RFC 9110 §15.2 allows.
const maxInterim = 16

// Handover passes the reply of a fill, and the interim responses before it, to the client that
// leads the fill. The fill never waits for that client, so that a client that is slow or has left
// cannot delay the others. A nil handover belongs to a refresh: it drops all replies. It may be
// used concurrently.
type Handover struct {
	changed chan struct{} // tells the client that there is something for it; has room for one signal

	mu      sync.Mutex
	reply   *Reply    // until the client takes it
	interim []interim // until the client takes them; at most maxInterim
	over    bool      // true if the reply was given or the client has left
	// attended is set while the leader counts as a client of the fill. The leader stops counting if
	// it has left, or if it has a reader of the body, which counts from then on.
	attended *Attendance
}

// interim is a 1xx response for the leader.
type interim struct {
	status int
	header http.Header
}

// NewHandover returns a Handover to a client that waits.
func NewHandover() *Handover { return &Handover{changed: make(chan struct{}, 1)} }

// signal wakes the client. The caller holds the lock.
func (h *Handover) signal() {
	select {
	case h.changed <- struct{}{}:
	default: // the last signal still stands
	}
}

// Give passes reply to the client. It drops reply if there is no client, or if the client has left
// or already has a reply.
func (h *Handover) Give(reply *Reply) {
	if h == nil {
		reply.Drop()
		return
	}
	h.mu.Lock()
	over := h.over
	h.over = true
	if !over {
		h.reply = reply
		h.signal()
	}
	h.mu.Unlock()
	if over {
		reply.Drop()
	}
}

// Attend adds the client to the clients that a counts, unless the client has left or has its reply.
func (h *Handover) Attend(a *Attendance) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.over {
		h.attended = a
		a.change(1)
	}
}

// unattend ends the counting of the client. Further calls do nothing.
func (h *Handover) unattend() {
	if h == nil {
		return
	}
	h.mu.Lock()
	a := h.attended
	h.attended = nil
	h.mu.Unlock()
	if a != nil {
		a.change(-1)
	}
}

// Tell passes an interim response to the client. It drops the response if too many are waiting.
func (h *Handover) Tell(status int, header http.Header) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.interim) < maxInterim {
		h.interim = append(h.interim, interim{status, header})
		h.signal()
	}
}

// take returns the reply, or nil if it has not arrived, and the interim responses that arrived since
// the last call. The interim responses arrived before the reply.
func (h *Handover) take() (*Reply, []interim) {
	h.mu.Lock()
	defer h.mu.Unlock()
	reply, interim := h.reply, h.interim
	h.reply, h.interim = nil, nil
	return reply, interim
}

// Wait passes interim responses to deliver until the reply arrives, and returns the reply. It
// returns nil if ctx ends first.
func (h *Handover) Wait(ctx context.Context, deliver func(status int, h http.Header)) *Reply {
	for {
		select {
		case <-h.changed:
			reply, interim := h.take()
			for _, i := range interim {
				deliver(i.status, i.header)
			}
			if reply != nil {
				return reply
			}
		case <-ctx.Done():
			h.leave()
			return nil
		}
	}
}

// leave records that the client has left, and drops a reply that is waiting for it.
func (h *Handover) leave() {
	h.mu.Lock()
	h.over = true
	h.mu.Unlock()
	h.unattend()
	if reply, _ := h.take(); reply != nil {
		reply.Drop()
	}
}
