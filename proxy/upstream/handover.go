package upstream

import "sync"

// handover watches how a request's body and its response overlap on an HTTP/1.1 connection. A target that answers before it has the whole body
// and stays on the line may read the body, or leave it and take the rest for the next request (RFC 9112 §9.3): nobody can tell. The bytes that
// come after such an answer may be another client's answer, so that the connection carries no further request.
//
// What counts is whether a write begins after the answer has begun, not whether one is still under way: a write that the target has seen the
// end of returns to its goroutine at any time.
type handover struct {
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
func (h *handover) begin(body bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.body && h.answer == interimly && h.wrote {
		h.spent = true // the final response came together with the interim one, and the body after it
	}
	h.body, h.wrote, h.answer = body, false, unanswered
	return !h.spent
}

func (h *handover) write() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrote = true
	if h.body && h.answer == finally {
		h.spent = true
	}
}

func (h *handover) read() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrote = false
	if h.answer == interimly {
		h.answer = finally
	}
}

// first says that a response begins with what was read last. Until interim follows it is taken for the final one.
func (h *handover) first() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = finally
	if h.body && h.wrote {
		h.spent = true
	}
}

// interim says that the response was an interim one.
func (h *handover) interim() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = interimly
}

// forbid keeps further requests away.
func (h *handover) forbid() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spent = true
}

// answered reports whether the final response has begun.
func (h *handover) answered() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.answer == finally
}

// closed reports whether no further request is taken.
func (h *handover) closed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.spent
}
