package h1

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/penstock/penstock/proxy/upstream/fault"
)

// bufferSize holds a header section and a small body in one read. If a section is larger, the
// buffer grows. Large bodies bypass it.
const bufferSize = 16 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

var (
	errMalformed = errors.New("malformed HTTP response")
	errField     = errors.New("malformed field line")
)

// Reader reads the bytes that a target sends. The zero value has no source. A Reader holds a buffer
// only between Reset and Release.
type Reader struct {
	src    io.Reader
	pooled *[]byte
	buf    []byte
	r, w   int
}

// Reset makes b read from src.
func (b *Reader) Reset(src io.Reader) {
	b.Release()
	b.src, b.pooled = src, buffers.Get().(*[]byte)
	b.buf = *b.pooled
}

// Release gives the buffer back. Its contents are lost.
func (b *Reader) Release() {
	if b.pooled != nil {
		buffers.Put(b.pooled)
	}
	*b = Reader{}
}

// Buffered is the number of bytes that were read from the source and not from b.
func (b *Reader) Buffered() int { return b.w - b.r }

// Rest returns the buffered bytes and empties the buffer.
func (b *Reader) Rest() []byte {
	rest := bytes.Clone(b.buf[b.r:b.w])
	b.r, b.w = 0, 0
	return rest
}

// more reads from the source, at least one byte where err is nil. It makes room, and more of it
// than there is where the buffer is full.
func (b *Reader) more() error {
	switch {
	case b.r == b.w:
		b.r, b.w = 0, 0
	case b.w == len(b.buf) && b.r > 0:
		b.w = copy(b.buf, b.buf[b.r:b.w])
		b.r = 0
	case b.w == len(b.buf):
		b.buf = append(b.buf, make([]byte, len(b.buf))...) // the pooled one stays as it is, and goes back
	}
	for range maxEmptyReads {
		n, err := b.src.Read(b.buf[b.w:])
		b.w += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

const maxEmptyReads = 100

// section reads the lines up to and including an empty line as one string. It fails early if fits
// rejects the bytes that have arrived.
func (b *Reader) section(limit int, fits func([]byte) bool) (string, error) {
	seen := 0 // bytes that hold no end
	for {
		have := b.buf[b.r:b.w]
		if end := sectionEnd(have, seen); end > limit {
			return "", fault.ErrHeaderTooLarge
		} else if end > 0 {
			b.r += end
			return string(have[:end]), nil
		}
		switch {
		case len(have) > limit:
			return "", fault.ErrHeaderTooLarge
		case !fits(have):
			return "", errMalformed
		}
		seen = len(have)
		if err := b.more(); err != nil {
			return "", broken(b.buf[b.r:b.w], err)
		}
	}
}

// sectionEnd is the length of the section at the beginning of p, or 0 if its end is missing. The
// caller knows that the first seen bytes hold no end.
func sectionEnd(p []byte, seen int) int {
	for i := max(0, seen-2); ; { // "\n\r" may have been there already
		k := bytes.IndexByte(p[i:], '\n')
		if k < 0 {
			return 0
		}
		i += k + 1
		switch rest := p[i:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return i + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return i + 2
		}
	}
}

// broken is the error of a section that err cut off. If the section breaks off within a line
// without a colon, it is malformed: the rest of the line is unknown.
func broken(p []byte, err error) error {
	if err != io.EOF {
		return err
	}
	if i := bytes.LastIndexByte(p, '\n'); i >= 0 && i+1 < len(p) && bytes.IndexByte(p[i:], ':') < 0 && p[i+1] != '\r' {
		return errField
	}
	return io.ErrUnexpectedEOF
}
