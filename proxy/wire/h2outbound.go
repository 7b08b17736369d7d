package wire

import (
	"encoding/binary"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// outbound is the way to the client, on which two write: net/http, in pieces that may end anywhere, and whoever answers here, who may only between frames, and not
// between those that make up one header block.
type outbound struct {
	mu      sync.Mutex
	turn    sync.Cond // signalled when writing or closed changes
	writing bool      // somebody writes
	closed  bool

	begun bool   // net/http has written its SETTINGS, which are the first that a client may get (RFC 9113 §3.4)
	left  int    // bytes that are to come of the frame that net/http has written a part of
	block bool   // its header block goes on with another frame
	held  []byte // what it has written of the head of a frame that is not all there. The client has not got it
	// leave is set once GOAWAY is on its way: what is answered after that the client takes for unanswered.
	leave    bool
	answered uint32 // the last stream that was answered here

	window
}

func (o *outbound) init() {
	o.turn.L = &o.mu
	o.window.init()
}

// take waits for the turn to write; between says that it has to be one between frames.
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

// between reports whether what net/http has written ends with a frame behind which others may be.
func (o *outbound) between() bool { return o.begun && o.left == 0 && !o.block }

// give gives the turn to the next.
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

// follow goes through what net/http writes, and returns what of it may be written now: all but a head that is not all there. short says that it has little
// window left and may have more.
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

// note takes note of a frame that net/http writes.
func (o *outbound) note(f frame) (short bool) {
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

// raise has a GOAWAY, whose content begins at an offset, name the last stream that was answered. What it is given is not changed.
func (o *outbound) raise(b []byte, at int) []byte {
	o.leave = true
	if last := number(b[at:]); last < o.answered {
		b = append([]byte(nil), b...)
		binary.BigEndian.PutUint32(b[at:], o.answered)
	}
	return b
}

// reserve reports whether an answer with a body of a size may be written on a stream, and makes room for it.
func (o *outbound) reserve(stream uint32, size int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.leave || o.closed || !o.window.reserve(size) {
		return false
	}
	o.answered = stream
	return true
}
