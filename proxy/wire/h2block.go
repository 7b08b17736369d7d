package wire

import (
	"encoding/binary"
	"strconv"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// continuationsMost is how many frames a header block may have. A frame has room for the largest block that is taken.
const continuationsMost = 128

// h2Block is a header block of a client, as far as it has come.
type h2Block struct {
	open     bool // its last frame has not begun
	stream   uint32
	flags    http2.Flags
	priority [prioritySize]byte
	frames   int
	left     int // bytes that are to come of the present frame
	pad      int // bytes behind them
	size     int // of its fields, as HTTP/2 counts
	beyond   bool
}

// headers begins a header block. What of it is out of place is not looked into: the state of the decoder is lost with it, and so the connection is.
func (c *h2Conn) headers(f frame, b []byte) bool {
	at, pad := frameHead, 0
	need := 0
	if f.flags&http2.FlagHeadersPadded != 0 {
		need++
	}
	if f.flags&http2.FlagHeadersPriority != 0 {
		need += prioritySize
	}
	switch {
	case f.length > h2ReadFrame:
		return c.hand(f)
	case f.stream == 0 || f.length < need:
		return c.fail()
	case len(b) < frameHead+need:
		return false
	}
	c.block = h2Block{stream: f.stream, flags: f.flags}
	if f.flags&http2.FlagHeadersPadded != 0 {
		pad = int(b[at])
		at++
	}
	if f.flags&http2.FlagHeadersPriority != 0 {
		at += copy(c.block.priority[:], b[at:at+prioritySize])
	}
	if f.length -= need; pad > f.length {
		return c.fail()
	}
	if c.scratch == nil {
		c.scratch = h2Scratches.Get().(*h2Scratch)
	}
	c.decoder.SetEmitEnabled(true)
	c.from += at
	return c.fragmentBegins(f.length-pad, pad, f.flags&http2.FlagHeadersEndHeaders != 0)
}

// fragmentBegins begins a frame of a header block. One that is far too large for what may still come ends the connection, as net/http has it.
func (c *h2Conn) fragmentBegins(size, pad int, ends bool) bool {
	remain := c.server.listBytes - c.block.size
	if c.block.beyond {
		remain = 0
	}
	if c.block.frames++; size > 2*remain || c.block.frames > continuationsMost {
		return c.fail()
	}
	c.block.left, c.block.pad, c.block.open = size, pad, !ends
	if size == 0 {
		c.fragmentEnds()
	}
	return true
}

// fragment decodes what has come of a frame.
func (c *h2Conn) fragment(b []byte) bool {
	n := min(c.block.left, len(b))
	if n == 0 {
		return false
	}
	if _, err := c.decoder.Write(b[:n]); err != nil {
		return c.undecodable()
	}
	c.from += n
	if c.block.left -= n; c.block.left == 0 {
		c.fragmentEnds()
	}
	return true
}

func (c *h2Conn) fragmentEnds() {
	c.skip = c.block.pad
	if c.block.open {
		return
	}
	if c.decoder.Close() != nil {
		c.undecodable()
		return
	}
	c.complete()
	c.scratch.forget()
}

// undecodable gives net/http a block that it can't decode either.
func (c *h2Conn) undecodable() bool {
	const noIndex = 0x80 // RFC 7541 §6.1: index 0 is an error
	return c.last(append(frame{length: 1, kind: http2.FrameHeaders, flags: http2.FlagHeadersEndHeaders, stream: c.block.stream}.append(nil), noIndex))
}

// field is given each field as it is decoded. The one that is too much is kept, so that net/http finds the same, and those behind it are not.
func (c *h2Conn) field(f hpack.HeaderField) {
	if f.Name == handedField {
		return
	}
	c.scratch.fields = append(c.scratch.fields, f)
	if c.block.size += int(f.Size()); c.block.size > c.server.listBytes {
		c.block.beyond = true
		c.decoder.SetEmitEnabled(false)
	}
}

// complete deals with a whole header block.
func (c *h2Conn) complete() {
	b := &c.block
	var handed Handed
	switch opens := b.stream%2 == 1 && b.stream > c.seen; {
	case opens:
		c.seen = b.stream
		if c.answer(&handed) {
			return
		}
		c.given = b.stream
	case c.answeredHere(b.stream):
		c.fail() // it is closed
		return
	}
	c.ahead = c.encode(handed)
}

// encode writes the block in a form that does not depend on those before it.
func (c *h2Conn) encode(handed Handed) []byte {
	b := &c.block
	out := make([]byte, frameHead, frameHead+prioritySize+c.block.size)
	if b.flags&http2.FlagHeadersPriority != 0 {
		out = append(out, b.priority[:]...)
	}
	for _, f := range c.scratch.fields {
		out = appendField(out, f)
	}
	if handed.Chance != 0 {
		out = appendField(out, hpack.HeaderField{Name: handedField, Value: strconv.FormatFloat(handed.Chance, 'g', -1, 64)})
	}
	return b.split(out)
}

// split makes frames of a block that has room for the head of the first in front of it.
func (b *h2Block) split(out []byte) []byte {
	flags := b.flags &^ (http2.FlagHeadersPadded | http2.FlagHeadersEndHeaders)
	head := frame{length: len(out) - frameHead, kind: http2.FrameHeaders, flags: flags | http2.FlagHeadersEndHeaders, stream: b.stream}
	if head.length <= h2ReadFrame {
		head.append(out[:0])
		return out
	}
	rest := append([]byte(nil), out[frameHead+h2ReadFrame:]...)
	out = out[:frameHead+h2ReadFrame]
	frame{length: h2ReadFrame, kind: http2.FrameHeaders, flags: flags, stream: b.stream}.append(out[:0])
	for len(rest) > 0 {
		n := min(len(rest), h2ReadFrame)
		f := frame{length: n, kind: http2.FrameContinuation, stream: b.stream}
		if n == len(rest) {
			f.flags = http2.FlagContinuationEndHeaders
		}
		out = append(f.append(out), rest[:n]...)
		rest = rest[n:]
	}
	return out
}

// appendField writes a field as a literal that is not put into the table (RFC 7541 §6.2.2 and §6.2.3).
func appendField(b []byte, f hpack.HeaderField) []byte {
	const literal, never = 0x00, 0x10
	kind := byte(literal)
	if f.Sensitive {
		kind = never
	}
	return appendString(appendString(append(b, kind), f.Name), f.Value)
}

// appendString writes a string as it is (RFC 7541 §5.2).
func appendString(b []byte, s string) []byte {
	return append(appendInteger(b, 0, 7, len(s)), s...)
}

// appendInteger writes an integer whose first byte has bits in front of it (RFC 7541 §5.1).
func appendInteger(b []byte, front byte, bits, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return append(b, front|byte(n))
	}
	return binary.AppendUvarint(append(b, front|byte(most)), uint64(n-most))
}
