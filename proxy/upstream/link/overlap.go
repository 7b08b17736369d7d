package link

import (
	"sync"
)

// Overlap watches how the body of a request and the response overlap on an HTTP/1.1 connection. If
// a target answers early and keeps the connection open, it may read the rest of the body, or take
// it for the next request (RFC 9112 §9.3). The gateway cannot tell which. The bytes that follow
// such an answer may answer another client, so the connection carries no further request.
//
// The rule counts a write that begins after the answer has begun. A write that is still under way
// does not count: if the target has seen all of it, the write may still return at any later time.
type Overlap struct {
	mu     sync.Mutex
	body   bool // the request has a body: for one without there is nothing to watch
	wrote  bool // a write began since the last read
	answer answer
	spent  bool // no request may follow
}

// answer is how far the response has come.
type answer uint8

const (
	unanswered answer = iota
	interimly         // an interim response has come and nothing since
	finally           // the final response has begun
)

// begin starts the turn of the next request, and reports whether there may be one.
func (h *Overlap) begin(body bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.body && h.answer == interimly && h.wrote {
		h.spent = true // the final response came together with the interim one, and the body after it
	}
	h.body, h.wrote, h.answer = body, false, unanswered
	return !h.spent
}

func (h *Overlap) write() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrote = true
	if h.body && h.answer == finally {
		h.spent = true
	}
}

func (h *Overlap) read() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrote = false
	if h.answer == interimly {
		h.answer = finally
	}
}

// ResponseBegan says that the last bytes read begin a response. Until WasInterim is called, the
// response counts as the final one.
func (h *Overlap) ResponseBegan() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = finally
	if h.body && h.wrote {
		h.spent = true
	}
}

// WasInterim says that the response was an interim one.
func (h *Overlap) WasInterim() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = interimly
}

// Forbid keeps further requests away.
func (h *Overlap) Forbid() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spent = true
}

// Answered reports whether the final response has begun.
func (h *Overlap) Answered() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.answer == finally
}

// closed reports whether no further request is taken.
func (h *Overlap) closed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.spent
}
