package wire

import (
	"encoding/binary"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// continuationsMost limits the frames of a header block. The largest accepted block fits into a
// single frame.
const continuationsMost = 128

// h2Block is the received part of a client's header block.
type h2Block struct {
	open     bool // true until the last frame of the block has begun
	stream   uint32
	flags    http2.Flags
	priority [prioritySize]byte
	frames   int
	left     int // bytes left in the current frame
	pad      int // bytes of padding after them
	size     int // of the fields, as counted by HTTP/2
	beyond   bool
}

// headers begins a header block. Errors of the frame are not examined further: they lose the
// decoder's state and so the connection.
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

// fragmentBegins begins a frame of a header block. If the frame is far too large for the rest of
// the block, the connection ends, as with net/http.
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

// fragment decodes the received bytes of a frame.
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

// undecodable passes to net/http a block that net/http can't decode either.
func (c *h2Conn) undecodable() bool {
	const noIndex = 0x80 // RFC 7541 §6.1: index 0 is an error
	return c.last(append(frame{length: 1, kind: http2.FrameHeaders, flags: http2.FlagHeadersEndHeaders, stream: c.block.stream}.append(nil), noIndex))
}

// field receives each decoded field. The first field beyond the limit is kept, so that net/http
// finds the same error; later ones are dropped.
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

// complete processes a complete header block.
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
		c.openedAt.Store(time.Now().UnixNano())
	case c.answeredHere(b.stream):
		c.fail() // the stream is closed
		return
	}
	c.ahead = c.encode(handed)
}

// encode encodes the block in a form that does not depend on earlier blocks.
func (c *h2Conn) encode(handed Handed) []byte {
	b := &c.block
	out := make([]byte, frameHead, frameHead+prioritySize+c.block.size)
	if b.flags&http2.FlagHeadersPriority != 0 {
		out = append(out, b.priority[:]...)
	}
	for _, f := range c.scratch.fields {
		out = appendField(out, f)
	}
	if handed != (Handed{}) && b.size+handedSize <= c.server.listBytes {
		c.handing.put(b.stream, handed)
		out = appendField(out, hpack.HeaderField{Name: handedField, Value: strconv.FormatUint(uint64(b.stream), 10)})
	}
	return b.split(out)
}

// split cuts a block into frames. out begins with room for the head of the first frame.
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

// appendField appends a field as a literal that is not indexed (RFC 7541 §6.2.2 and §6.2.3).
func appendField(b []byte, f hpack.HeaderField) []byte {
	const literal, never = 0x00, 0x10
	kind := byte(literal)
	if f.Sensitive {
		kind = never
	}
	return appendString(appendString(append(b, kind), f.Name), f.Value)
}

// appendString appends a string without Huffman coding (RFC 7541 §5.2).
func appendString(b []byte, s string) []byte {
	return append(appendInteger(b, 0, 7, len(s)), s...)
}

// appendInteger appends an integer whose first byte begins with the given bits (RFC 7541 §5.1).
func appendInteger(b []byte, front byte, bits, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return append(b, front|byte(n))
	}
	return binary.AppendUvarint(append(b, front|byte(most)), uint64(n-most))
}
