package std

import (
	"io"
	"sync"

	"github.com/penstock/penstock/proxy/upstream/fault"
)

// heldMost is how much of a request's body is held, so that it can be sent again to a target that
// did not process it.
const heldMost = 64 << 10

// held is the body of a request that an HTTP/2 target may refuse after part of it was sent. It
// keeps the first heldMost bytes. If the body is no longer, a new view can read it again from its
// beginning.
type held struct {
	mu      sync.Mutex
	changed sync.Cond // reading has ended, or a view
	src     io.ReadCloser
	buf     []byte
	lost    bool  // more was read than is held
	err     error // src's final error
	view    *view // the view that may read
	reading bool
	closing bool // src is to be closed when reading has ended
}

// view is one reading of a held body.
type view struct {
	held *held
	pos  int
}

func hold(src io.ReadCloser) *held {
	h := &held{src: src}
	h.changed.L = &h.mu
	return h
}

// open returns a view from the beginning, which replaces the view before. It returns nil if the
// beginning is lost.
func (h *held) open() *view {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changed.Broadcast()
	if h.view = nil; h.lost {
		return nil
	}
	h.view = &view{held: h}
	return h.view
}

// Read reads on. It fails with fault.ErrTaken if the view is closed, or another has taken its place.
func (v *view) Read(p []byte) (int, error) {
	h := v.held
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.view != v:
			return 0, fault.ErrTaken
		case v.pos < len(h.buf):
			n := copy(p, h.buf[v.pos:])
			v.pos += n
			h.drop(v)
			return n, nil
		case h.err != nil:
			return 0, h.err
		case !h.reading:
			return h.read(v, p)
		}
		h.changed.Wait() // for the read that a view before has begun
	}
}

// read reads from the source with h locked, which it unlocks meanwhile.
func (h *held) read(v *view, p []byte) (int, error) {
	if len(h.buf) == heldMost {
		h.lost = true
		h.drop(v)
	}
	if !h.lost {
		p = p[:min(len(p), heldMost-len(h.buf))] // so that another view gets it in any case
	}
	h.reading = true
	h.mu.Unlock()
	n, err := h.src.Read(p)
	h.mu.Lock()
	h.reading = false
	h.changed.Broadcast()
	if h.err = err; !h.lost {
		h.buf = append(h.buf, p[:n]...)
	}
	if h.closing {
		_ = h.src.Close() // the bytes are read already
	}
	if h.view != v {
		return 0, fault.ErrTaken
	}
	if !h.lost {
		v.pos += n
	}
	return n, err
}

// drop gives the buffer up when v, the last view, has read it.
func (h *held) drop(v *view) {
	if h.lost && v.pos == len(h.buf) {
		h.buf, v.pos = nil, 0
	}
}

// keepNoMore says that no further view will be opened.
func (h *held) keepNoMore() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost = true; h.view != nil {
		h.drop(h.view)
	}
}

// whole reports whether another view can be opened.
func (h *held) whole() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.lost
}

// stop ends the current view. If a Read of it is still under way, it takes nothing from the next
// view.
func (h *held) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.view = nil
	h.changed.Broadcast()
}

// Close ends the view. The body stays open for another one.
func (v *view) Close() error {
	h := v.held
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.view == v {
		h.view = nil
		h.changed.Broadcast()
	}
	return nil
}

// close closes the body. If it is being read, it is closed after that: to wait could take as long
// as the client is silent.
func (h *held) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing {
		return
	}
	if h.closing = true; !h.reading {
		_ = h.src.Close() // the rest of the body is not needed
	}
	h.view, h.buf = nil, nil
	h.changed.Broadcast()
}
