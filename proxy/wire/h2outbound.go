package wire

import (
	"encoding/binary"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// outbound is the path to the client. It has two writers: net/http, whose writes may end anywhere,
// and responses from here, which may only be written between frames and not inside a header block.
type outbound struct {
	mu      sync.Mutex
	turn    sync.Cond // signals changes of writing and closed
	writing bool      // true while a writer has its turn
	closed  bool

	// True if net/http has written its SETTINGS, which must be the client's first frame (RFC 9113
	// §3.4).
	begun bool
	left  int    // bytes left in a frame that net/http has begun
	block bool   // true if net/http's header block continues in another frame
	held  []byte // an incomplete frame head from net/http, not sent yet
	// leave is true once a GOAWAY has been sent: the client would take a later response from here
	// for unanswered.
	leave    bool
	answered uint32 // the last stream that was answered here
	earned   int    // cheap frames that the client has earned by receiving

	window
}

func (o *outbound) init() {
	o.turn.L = &o.mu
	o.window.init()
}

// take waits for the turn to write. If between is true, it also waits for the end of a frame.
func (o *outbound) take(between bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed && (o.writing || between && !o.between()) {
		o.turn.Wait()
	}
	if o.closed {
		return net.ErrClosed
	}
	o.writing = true
	return nil
}

// between reports whether net/http's output ends with a frame after which another may follow.
func (o *outbound) between() bool { return o.begun && o.left == 0 && !o.block }

// give passes the turn on.
func (o *outbound) give() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = false
	o.turn.Broadcast()
}

func (o *outbound) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.turn.Broadcast()
}

// Write writes frames of net/http.
func (c *h2Conn) Write(p []byte) (int, error) {
	if err := c.take(false); err != nil {
		return 0, err
	}
	defer c.give()
	if err := c.written.bound(c.Conn, time.Now(), c.server.Write); err != nil {
		return 0, err
	}
	b := p
	if len(c.held) > 0 {
		b = append(c.held, p...)
		c.held = nil
	}
	b, short := c.follow(b)
	if _, err := c.Conn.Write(b); err != nil {
		return 0, err
	}
	if short {
		c.wake()
	}
	return len(p), nil
}

// follow inspects net/http's output and returns the bytes that may be written now: all except an
// incomplete frame head. short is true if net/http has little window left and may get more.
func (o *outbound) follow(b []byte) (now []byte, short bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := 0
	for at < len(b) {
		if n := min(o.left, len(b)-at); n > 0 {
			o.left -= n
			at += n
			continue
		}
		if len(b)-at < frameHead {
			break
		}
		f := parseFrame(b[at:])
		if f.kind == http2.FrameGoAway {
			if len(b)-at < frameHead+4 {
				break
			}
			b = o.raise(b, at+frameHead)
		}
		short = o.note(f) || short
		o.left = f.length
		at += frameHead
	}
	if at < len(b) {
		o.held = append([]byte(nil), b[at:]...)
	}
	return b[:at], short
}

// note inspects a frame of net/http.
func (o *outbound) note(f frame) (short bool) {
	o.earned = min(o.earned+earnings(f), cheapBurst)
	switch f.kind {
	case http2.FrameHeaders, http2.FramePushPromise, http2.FrameContinuation:
		o.block = f.flags&http2.FlagHeadersEndHeaders == 0
	case http2.FrameData:
		return o.window.use(int64(f.length))
	case http2.FrameSettings:
		o.begun = true
		if f.flags&http2.FlagSettingsAck != 0 {
			o.window.settle()
		}
	}
	return false
}

// raise returns b with the last answered stream in its GOAWAY, whose content begins at the offset
// at. It does not change b.
func (o *outbound) raise(b []byte, at int) []byte {
	o.leave = true
	if last := number(b[at:]); last < o.answered {
		b = append([]byte(nil), b...)
		binary.BigEndian.PutUint32(b[at:], o.answered)
	}
	return b
}

// reserve reserves window for a response on a stream, and reports whether there is enough.
func (o *outbound) reserve(stream uint32, size int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.leave || o.closed || !o.window.reserve(size) {
		return false
	}
	o.answered = stream
	o.earned = min(o.earned+earnHeader+int(size)/earnEach, cheapBurst)
	return true
}

const (
	// shortWindow is the remaining window of net/http below which it gets more of the available
	// window.
	shortWindow = 32 << 10
	// plentyWindow is the window that net/http keeps, so that it need not be told of each
	// increment.
	plentyWindow = 128 << 10
	// lendAll is the size up to which the whole window is lent.
	lendAll = 64 << 10
)

// window is the amount of content that the client is ready to receive (RFC 9113 §5.2). The
// connection's window is divided, and net/http knows only its own share. So neither side must ask
// the other before it writes, and the client's window is never exceeded. The side with the smaller
// share gets more of each increment. While net/http has plenty, we get all of it. If net/http's
// share gets short, it borrows ours, and then writes the responses itself.
type window struct {
	ours, theirs int64 // of the connection
	stream       int64 // of a newly opened stream
	next         int64 // the value of stream once the client's SETTINGS are acknowledged
}

func (w *window) init() {
	w.theirs, w.stream, w.next = windowInitial, windowInitial, windowInitial
}

// add adds an increment, and returns net/http's part of it.
func (w *window) add(increment int64) int64 {
	take := increment
	if w.theirs < plentyWindow {
		take = min(max((w.ours+w.theirs+increment)/2-w.ours, 0), increment)
	}
	w.ours += take
	w.theirs += increment - take
	return increment - take
}

// use subtracts content that net/http writes. short is true if its share is short afterwards.
func (w *window) use(size int64) (short bool) {
	w.theirs -= size
	return size > 0 && w.theirs < shortWindow && w.ours > 0
}

// reserve subtracts the content of a response if our share suffices, and reports whether it did.
func (w *window) reserve(size int64) bool {
	if size > w.ours || size > w.stream {
		return size == 0
	}
	w.ours -= size
	return true
}

// lend returns the part of our share that net/http gets.
func (w *window) lend() int64 {
	n := w.ours
	if n > lendAll {
		n /= 2
	}
	w.ours -= n
	w.theirs += n
	return n
}

// initial records a SETTINGS_INITIAL_WINDOW_SIZE. A smaller size applies at once. A larger one
// applies when the settings are acknowledged, because the client counts on it only then.
func (w *window) initial(size int64) {
	w.next = size
	w.stream = min(w.stream, size)
}

// settle applies acknowledged SETTINGS.
func (w *window) settle() { w.stream = w.next }

// lend moves window to net/http, and reports whether it must be told.
func (c *h2Conn) lend() bool {
	c.mu.Lock()
	n := c.window.lend()
	c.mu.Unlock()
	if n == 0 {
		return false
	}
	c.ahead = appendWindowUpdate(c.small[:0], n)
	return true
}
