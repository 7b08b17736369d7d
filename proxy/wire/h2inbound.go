package wire

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

// settingsMost is the largest SETTINGS frame that net/http accepts: 100 settings.
const settingsMost = 100 * settingSize

// step processes a part of the received bytes. It reports false if it needs more.
func (c *h2Conn) step() bool {
	b := c.in[c.from:c.to]
	switch {
	case c.skip > 0:
		n := min(c.skip, len(b))
		c.from += n
		c.skip -= n
		return n > 0
	case c.block.left > 0:
		return c.fragment(b)
	case len(b) < frameHead:
		return false
	}
	f := parseFrame(b)
	if c.block.open && (f.kind != http2.FrameContinuation || f.stream != c.block.stream) {
		return c.fail()
	}
	if c.due(f, b) && !c.affords(f) {
		c.flooded = true
		return false
	}
	switch f.kind {
	case http2.FrameHeaders:
		return c.headers(f, b)
	case http2.FrameContinuation:
		if c.block.open {
			c.from += frameHead
			return c.fragmentBegins(f.length, 0, f.flags&http2.FlagContinuationEndHeaders != 0)
		}
	case http2.FrameSettings:
		return c.settings(f, b)
	case http2.FrameWindowUpdate:
		return c.windowUpdate(f, b)
	case http2.FrameRSTStream:
		if f.length == resetSize && c.answeredHere(f.stream) {
			return c.absorb(f)
		}
	case http2.FramePriority:
		if f.length == prioritySize && c.answeredHere(f.stream) {
			return c.absorb(f)
		}
	}
	return c.hand(f)
}

// hand passes a frame to net/http unchanged.
func (c *h2Conn) hand(f frame) bool {
	c.passing = frameHead + f.length
	return true
}

// absorb drops a frame.
func (c *h2Conn) absorb(f frame) bool {
	c.from += frameHead
	c.skip = f.length
	return true
}

// answeredHere reports whether net/http does not know a stream because it was answered here, so
// that net/http takes it for one that is not open yet. net/http takes earlier unknown streams for
// closed ones, and ignores frames for them.
func (c *h2Conn) answeredHere(stream uint32) bool {
	return stream%2 == 1 && stream > c.given && stream <= c.seen
}

// fail passes a malformed frame to net/http, because the client has broken the protocol in a way
// that net/http could not see. net/http then ends the connection as it would have done.
func (c *h2Conn) fail() bool {
	// On stream 0: RFC 9113 §6.2.
	return c.last(frame{kind: http2.FrameHeaders, flags: http2.FlagHeadersEndHeaders}.append(nil))
}

// last passes b to net/http as its last bytes.
func (c *h2Conn) last(b []byte) bool {
	c.ahead, c.ended = b, true
	return true
}

// settings records the client's settings.
func (c *h2Conn) settings(f frame, b []byte) bool {
	if f.flags&http2.FlagSettingsAck != 0 || f.stream != 0 || f.length%settingSize != 0 || f.length > settingsMost {
		return c.hand(f) // net/http reports the error
	}
	if len(b) < frameHead+f.length {
		return false
	}
	c.settled = true
	for s := b[frameHead : frameHead+f.length]; len(s) > 0; s = s[settingSize:] {
		c.setting(http2.SettingID(binary.BigEndian.Uint16(s)), binary.BigEndian.Uint32(s[2:]))
	}
	return c.hand(f)
}

func (c *h2Conn) setting(id http2.SettingID, value uint32) {
	switch {
	case id == http2.SettingInitialWindowSize && value <= windowMost:
		c.mu.Lock()
		c.window.initial(int64(value))
		c.mu.Unlock()
	case id == http2.SettingHeaderTableSize && value < h2Table:
		// The first header block after that must confirm the new size (RFC 7541 §4.2), and only
		// net/http has a table.
		c.handedOver = true
	}
}

// windowUpdate absorbs updates for streams that were answered here, and divides the ones for the
// connection.
func (c *h2Conn) windowUpdate(f frame, b []byte) bool {
	switch {
	case f.length != windowUpdateSize:
		return c.hand(f)
	case f.stream != 0:
		if c.answeredHere(f.stream) {
			return c.absorb(f)
		}
		return c.hand(f)
	case len(b) < frameHead+windowUpdateSize:
		return false
	}
	increment := int64(number(b[frameHead:]))
	if increment == 0 {
		return c.hand(f) // an error, which net/http reports
	}
	c.mu.Lock()
	theirs := c.window.add(increment)
	over := c.window.ours+c.window.theirs > windowMost
	c.mu.Unlock()
	c.from += frameHead + windowUpdateSize
	if over {
		// Which also exceeds net/http's limit, whatever its window is.
		return c.last(appendWindowUpdate(appendWindowUpdate(nil, windowMost), windowMost))
	}
	if theirs > 0 {
		c.ahead = appendWindowUpdate(c.small[:0], theirs)
	}
	return true
}
