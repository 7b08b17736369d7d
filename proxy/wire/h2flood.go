package wire

import (
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/net/http2"
)

// Frames without a request cost a client hardly anything, but the gateway must inspect them, often
// answer them, and switch goroutines. So each client has an allowance of such frames: a burst, a
// rate, and more for the responses that it receives, because a client that receives large responses
// must send many WINDOW_UPDATEs.
const (
	cheapBurst = 2000 // enough for a client that opens, cancels and pings as fast as libraries do
	cheapRate  = 200  // per second
	earnFrame  = 1    // for each frame of a response
	earnHeader = 3    // for each response, which the client may cancel, ping about, or widen the window for
	earnEach   = 512  // one more for this many bytes of content
	// Minimum bytes of a DATA frame: smaller ones earn nothing, because a client can request one
	// byte at a time.
	earnLeast = 16
	// floodWait is how long a client that has exceeded its allowance has to read the reason.
	floodWait = time.Second
)

var errFlood = errors.New("wire: the client sends too many frames without a request")

// allowance is the number of cheap frames that a client may send. It belongs to the reader.
type allowance struct {
	left   int
	filled time.Time // time of the last refill; zero: never
}

// spend takes one frame from the allowance, and reports false if it is empty. It reads the clock
// and calls earned only if the last refill is used up.
func (a *allowance) spend(now func() time.Time, earned func() int) bool {
	if a.left > 0 {
		a.left--
		return true
	}
	at := now()
	more := cheapBurst
	if !a.filled.IsZero() {
		more = min(int(at.Sub(a.filled).Seconds()*cheapRate), cheapBurst)
	}
	more += earned()
	if more <= 0 {
		return false
	}
	a.left, a.filled = more-1, at
	return true
}

// earnings returns the frames that f, written to the client, adds to the allowance.
func earnings(f frame) int {
	switch {
	case f.kind == http2.FrameHeaders:
		return earnHeader
	case f.kind == http2.FrameData && f.length >= earnLeast:
		return earnFrame + f.length/earnEach
	}
	return 0
}

// cheap reports whether a client's frame contains no request. DATA counts as cheap only if it is
// empty.
func cheap(f frame) bool {
	const mostPadding = 256
	switch f.kind {
	case http2.FrameHeaders, http2.FrameContinuation: // limited elsewhere
		return false
	case http2.FrameData:
		ends := f.flags&http2.FlagDataEndStream != 0
		return !ends && (f.length == 0 || f.flags&http2.FlagDataPadded != 0 && f.length <= mostPadding)
	}
	return true
}

// due reports whether f must be counted now, which is so exactly once: when its head and the
// inspected part of its content have arrived.
func (c *h2Conn) due(f frame, b []byte) bool {
	switch f.kind {
	case http2.FrameSettings, http2.FrameWindowUpdate:
		return len(b) >= frameHead+f.length || f.length > settingsMost
	}
	return true
}

// takeEarned returns the frames earned since its last call.
func (o *outbound) takeEarned() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.earned
	o.earned = 0
	return n
}

// affords reports whether the client may send f.
func (c *h2Conn) affords(f frame) bool {
	return !cheap(f) || c.allowance.spend(time.Now, c.takeEarned)
}

// endFlood ends the connection with a reason (RFC 9113 §10.5).
func (c *h2Conn) endFlood() error {
	c.server.logf("http2: %v: %v", c.peer.Addr, errFlood)
	defer time.AfterFunc(floodWait, func() { c.Close() }).Stop()
	if err := c.take(true); err != nil {
		return errFlood
	}
	out := frame{length: goAwaySize, kind: http2.FrameGoAway}.append(nil)
	out = binary.BigEndian.AppendUint32(out, c.seen)
	out = binary.BigEndian.AppendUint32(out, uint32(http2.ErrCodeEnhanceYourCalm))
	_, err := c.Conn.Write(out)
	c.mu.Lock()
	c.leave = true
	c.mu.Unlock()
	c.give()
	// Closing a connection with unread bytes would reset it, and the client could miss the reason.
	// The timer ends the reading.
	for err == nil {
		_, err = c.Conn.Read(c.in[:])
	}
	return errFlood
}
