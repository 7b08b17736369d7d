package h1

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
)

const (
	maxChunkLine = 4 << 10  // of a chunk's size and extensions
	maxTrailer   = 16 << 10 // of the trailer section
	maxExcess    = 16 << 10 // of bytes that are neither data nor needed to frame the data
	direct       = 4 << 10  // where so much is asked for at least, and nothing is buffered, the source reads into it
)

var errChunk = errors.New("malformed chunked coding")

// Body reads the body of a response. It ends in io.EOF, together with the last bytes where they are
// known to be the last, or in io.ErrUnexpectedEOF where the source ended before.
type Body struct {
	r       *Reader
	resp    *http.Response // is given the trailer fields
	framing Framing
	left    int64 // of the body, or of the chunk
	between bool  // a chunk's data has ended, and its line end has not been read
	excess  int64
	err     error
}

// Body is the body of resp, which was read from b last.
func (b *Reader) Body(resp *http.Response, f Framing) Body {
	body := Body{r: b, resp: resp, framing: f}
	switch f {
	case Length:
		body.left = resp.ContentLength
	case NoBody:
		body.err = io.EOF
	}
	return body
}

// Read reads from the body.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	var n int
	switch b.framing {
	case Length:
		n, b.err = b.data(p)
		if b.err == nil && b.left == 0 {
			b.err = io.EOF
		}
	case Chunked:
		n, b.err = b.chunks(p)
	default:
		b.left = int64(len(p))
		if n, b.err = b.data(p); b.err == io.ErrUnexpectedEOF {
			b.err = io.EOF
		}
	}
	return n, b.err
}

// data reads part of the remaining data.
func (b *Body) data(p []byte) (n int, err error) {
	p = p[:min(int64(len(p)), b.left)]
	r := b.r
	switch {
	case r.Buffered() > 0:
	case len(p) >= direct || int64(len(p)) == b.left:
		n, err = r.src.Read(p)
		b.left -= int64(n)
		if err == io.EOF && b.left > 0 {
			err = io.ErrUnexpectedEOF
		} else if err == io.EOF {
			err = nil // the next read, if there is one, will see it again
		}
		return n, err
	default:
		if err := r.more(); err != nil {
			return 0, unexpected(err)
		}
	}
	n = copy(p, r.buf[r.r:r.w])
	r.r += n
	b.left -= int64(n)
	return n, nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// chunks reads the data of all chunks that have arrived. It waits only if no data has arrived.
func (b *Body) chunks(p []byte) (n int, err error) {
	for n < len(p) {
		if b.left > 0 {
			if n > 0 && b.r.Buffered() == 0 {
				break
			}
			k, err := b.data(p[n:])
			n += k
			if err != nil {
				return n, err
			}
			b.between = b.left == 0
			continue
		}
		if n > 0 && !b.lineBuffered() {
			break
		}
		if err := b.nextChunk(); err != nil {
			return n, err
		}
	}
	if n == len(p) && b.left == 0 && b.endBuffered() {
		return n, b.nextChunk() // it spares the reader a call that has nothing to say but the end
	}
	return n, nil
}

// lineBuffered reports whether the next chunk's size has come.
func (b *Body) lineBuffered() bool {
	have := b.r.buf[b.r.r:b.r.w]
	if b.between {
		if len(have) < 2 {
			return false
		}
		have = have[2:]
	}
	return bytes.IndexByte(have, '\n') >= 0
}

// endBuffered reports whether the end of the body has come, in its usual form.
func (b *Body) endBuffered() bool {
	return b.between && bytes.HasPrefix(b.r.buf[b.r.r:b.r.w], []byte("\r\n0\r\n\r\n"))
}

// nextChunk reads up to the data of the next chunk. After the last it reads the trailer section,
// and returns io.EOF.
func (b *Body) nextChunk() error {
	if b.between {
		if line, err := b.line(); err != nil {
			return err
		} else if len(line) > 0 {
			return errChunk
		}
		b.between = false
	}
	line, err := b.line()
	if err != nil {
		return err
	}
	size, err := chunkSize(line)
	if err != nil {
		return err
	}
	// A target may stream one byte in each chunk, with five bytes of framing. Extensions are
	// dropped. They must not make up most of the bytes.
	b.excess = max(0, b.excess+int64(len(line))+4-16-2*min(size, maxExcess))
	if b.excess > maxExcess {
		return errors.New("the chunked coding has too much beside the data")
	}
	b.left = size
	if size == 0 {
		return b.trailer()
	}
	return nil
}

// line reads a line that ends in CRLF. A lone LF does not end it (RFC 9112 §7.1).
func (b *Body) line() ([]byte, error) {
	r := b.r
	for {
		have := r.buf[r.r:r.w]
		i := bytes.IndexByte(have, '\n')
		switch {
		case i > maxChunkLine || i < 0 && len(have) > maxChunkLine:
			return nil, errChunk
		case i == 0 || i > 0 && bytes.IndexByte(have, '\r') != i-1:
			return nil, errChunk
		case i > 0:
			r.r += i + 1
			return have[:i-1], nil
		}
		if err := r.more(); err != nil {
			return nil, unexpected(err)
		}
	}
}

// chunkSize reads the size and leaves extensions out.
func chunkSize(line []byte) (int64, error) {
	line, _, _ = bytes.Cut(bytes.TrimRight(line, " \t"), []byte(";"))
	line = bytes.TrimRight(line, " \t")
	if len(line) == 0 || len(line) > 15 {
		return 0, errChunk
	}
	var n int64
	for _, c := range line {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | int64(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | int64(c-'a'+10)
		case c >= 'A' && c <= 'F':
			n = n<<4 | int64(c-'A'+10)
		default:
			return 0, errChunk
		}
	}
	return n, nil
}

// trailer reads the trailer section and returns io.EOF.
func (b *Body) trailer() error {
	r := b.r
	for r.Buffered() < 2 && (r.Buffered() == 0 || r.buf[r.r] == '\r') {
		if err := r.more(); err != nil {
			return unexpected(err)
		}
	}
	switch r.buf[r.r] {
	case '\r':
		if r.buf[r.r+1] != '\n' {
			return errChunk
		}
		r.r += 2
		return io.EOF
	case '\n':
		return errChunk
	}
	section, err := r.section(maxTrailer, func([]byte) bool { return true })
	if err != nil {
		return err
	}
	if !strings.HasSuffix(section, "\r\n\r\n") {
		return errChunk
	}
	h, err := fields(section)
	if err != nil {
		return err
	}
	if b.resp.Trailer == nil {
		b.resp.Trailer = h
		return io.EOF
	}
	for name, values := range h {
		b.resp.Trailer[name] = values
	}
	return io.EOF
}
