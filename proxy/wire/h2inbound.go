package wire

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

// settingsMost is the largest SETTINGS that net/http takes: it has a hundred.
const settingsMost = 100 * settingSize

// step deals with a part of what has come. It reports false if that needs more of it.
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

// hand gives a frame to net/http as it is.
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

// answeredHere reports whether a stream is one that net/http knows nothing of, since it was answered here: to net/http, one that was not opened yet. Of earlier
// ones it knows that they are closed, and what is said of such is no matter.
func (c *h2Conn) answeredHere(stream uint32) bool {
	return stream%2 == 1 && stream > c.given && stream <= c.seen
}

// fail gives net/http a frame that breaks the protocol, as the client has, though not so that net/http could see: it ends the connection as it does in such a case.
func (c *h2Conn) fail() bool {
	return c.last(frame{kind: http2.FrameHeaders, flags: http2.FlagHeadersEndHeaders}.append(nil)) // on no stream: RFC 9113 §6.2
}

// last gives net/http b, and nothing more.
func (c *h2Conn) last(b []byte) bool {
	c.ahead, c.ended = b, true
	return true
}

// settings takes note of what the client wants.
func (c *h2Conn) settings(f frame, b []byte) bool {
	if f.flags&http2.FlagSettingsAck != 0 || f.stream != 0 || f.length%settingSize != 0 || f.length > settingsMost {
		return c.hand(f) // net/http says what it thinks of it
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
		// The first header block after that must say that it has been obeyed (RFC 7541 §4.2), and it is net/http that has a table.
		c.aside = true
	}
}

// windowUpdate keeps what is for streams that were answered here, and parts what is for the connection.
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
		return c.hand(f) // an error
	}
	c.mu.Lock()
	theirs := c.window.add(increment)
	over := c.window.ours+c.window.theirs > windowMost
	c.mu.Unlock()
	c.from += frameHead + windowUpdateSize
	if over {
		return c.last(appendWindowUpdate(appendWindowUpdate(nil, windowMost), windowMost)) // which is too much for net/http too, whatever it has
	}
	if theirs > 0 {
		c.ahead = appendWindowUpdate(c.small[:0], theirs)
	}
	return true
}
