package wire

// chunks follows a chunked body byte by byte (RFC 9112 §7.1), to find its end and to make sure that
// all recipients see the same end. It is as strict as net/http about sizes, and stricter about
// trailers and extensions.
type chunks struct {
	state  chunkState
	digits int8  // digits of the size so far
	size   int64 // bytes left in the chunk
	line   int   // bytes of the line or of the trailer section
}

type chunkState uint8

const (
	chunkNone chunkState = iota // there is no chunked body, or it has ended
	chunkSize
	chunkPad // whitespace after the size
	chunkExtension
	chunkSizeEnd // LF
	chunkData
	chunkDataEnd  // CR
	chunkDataEnd2 // LF
	trailerStart
	trailerName
	trailerValue
	trailerLineEnd // LF
	trailerEnd     // LF
	chunkBroken
)

const (
	// chunkDigits limits the digits of a size, so that it fits into an int64.
	chunkDigits = 15
	// chunkLine limits the line of a size with its extensions, and the trailer section. It equals
	// net/http's limit.
	chunkLine = 4096
)

// malformed replaces the first byte of an error that net/http might overlook. It is malformed at every
// position.
var malformed = []byte("\x00\n\r\n\r\n")

func (c *chunks) begin() { *c = chunks{state: chunkSize} }

// open reports whether the body has not ended yet.
func (c *chunks) open() bool { return c.state != chunkNone }

// broken reports whether the body is malformed.
func (c *chunks) broken() bool { return c.state == chunkBroken }

// follow checks the next bytes and returns the number that is valid and belongs to the body.
func (c *chunks) follow(b []byte) (n int, ok bool) {
	for n < len(b) {
		switch c.state {
		case chunkNone:
			return n, true
		case chunkBroken:
			return len(b), true // these are the bytes of malformed
		case chunkData:
			k := min(int64(len(b)-n), c.size)
			n += int(k)
			if c.size -= k; c.size == 0 {
				c.state = chunkDataEnd
			}
			continue
		}
		if c.line++; !c.step(b[n]) || c.line > chunkLine {
			c.state = chunkBroken
			return n, false
		}
		n++
	}
	return n, true
}

// step processes one byte that is not data, and reports whether it is allowed.
func (c *chunks) step(b byte) bool {
	switch c.state {
	case chunkSize:
		return c.digit(b) || c.digits > 0 && c.behindSize(b)
	case chunkPad:
		return c.behindSize(b) && b != ';' // net/http rejects whitespace before an extension
	case chunkExtension:
		if b != '\r' {
			return isTextByte(b)
		}
		c.state = chunkSizeEnd
		return true
	case chunkSizeEnd:
		c.line = 0
		if c.state = chunkData; c.size == 0 {
			c.state = trailerStart
		}
		return b == '\n'
	case chunkDataEnd:
		c.state = chunkDataEnd2
		return b == '\r'
	case chunkDataEnd2:
		c.begin()
		return b == '\n'
	}
	return c.trailer(b)
}

// digit processes a digit of a size.
func (c *chunks) digit(b byte) bool {
	var v byte
	switch {
	case '0' <= b && b <= '9':
		v = b - '0'
	case 'a' <= b|0x20 && b|0x20 <= 'f':
		v = b | 0x20 - 'a' + 10
	default:
		return false
	}
	c.digits++
	c.size = c.size<<4 | int64(v)
	return c.digits <= chunkDigits
}

// behindSize processes a byte after a size.
func (c *chunks) behindSize(b byte) bool {
	switch b {
	case '\r':
		c.state = chunkSizeEnd
	case ';':
		c.state = chunkExtension
	case ' ', '\t':
		c.state = chunkPad
	default:
		return false
	}
	return true
}

// trailer processes a byte of the trailer section.
func (c *chunks) trailer(b byte) bool {
	switch c.state {
	case trailerStart:
		if b == '\r' {
			c.state = trailerEnd
			return true
		}
		c.state = trailerName
		return tokenByte[b]
	case trailerName:
		if b == ':' {
			c.state = trailerValue
			return true
		}
		return tokenByte[b]
	case trailerValue:
		if b != '\r' {
			return isTextByte(b)
		}
		c.state = trailerLineEnd
		return true
	case trailerLineEnd:
		c.state = trailerStart
		return b == '\n'
	}
	c.state = chunkNone // after trailerEnd
	return b == '\n'
}

// isTextByte reports whether a field value may contain b.
func isTextByte(b byte) bool { return b >= ' ' && b != 0x7f || b == '\t' }
