package deliver

import (
	"context"
	"io"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// bodyReader reads a body that is still growing.
type bodyReader interface {
	// Next returns the next bytes, which are valid until the next call. It returns io.EOF at the
	// end of a complete body.
	Next(ctx context.Context) ([]byte, error)
	// Ready reports whether Next would return at once.
	Ready() bool
	Close() error
}

// Stream describes a response whose body deliveries read while it grows.
type Stream struct {
	Facts  cachepolicy.Meta
	Own    http.Header // the fields for the leader's client alone; nil if there are no such fields
	Part   []string    // Content-Range of a part; nil if the response is complete
	Coding compress.Coding

	// The fields below are set before the body ends. Read them only after its end.

	Trailer http.Header
	Total   int64 // of the body as received from the origin
	Stored  bool
}

// Source is a growing body as one client reads it.
type Source struct {
	bodyReader
	store.Representation       // coding and head, without a body
	size                 int64 // -1 if not known

	begun bool   // true if the next Next returns first and err
	first []byte // bytes that begin read in advance
	err   error  // the error that came in their place
}

// begin reads the first bytes of a body of known size in advance, if they have arrived, and returns
// the error if the body has failed. If the body is empty, begin waits for its end, when the
// response is stored: the head is then the whole response.
func (s *Source) begin(ctx context.Context) error {
	if s.size < 0 || s.size > 0 && !s.bodyReader.Ready() {
		return nil
	}
	s.begun = true
	if s.first, s.err = s.bodyReader.Next(ctx); s.err != io.EOF {
		return s.err
	}
	return nil
}

// Ready reports whether Next would return at once.
func (s *Source) Ready() bool { return s.begun || s.bodyReader.Ready() }

// Next returns the next bytes.
func (s *Source) Next(ctx context.Context) ([]byte, error) {
	if !s.begun {
		return s.bodyReader.Next(ctx)
	}
	s.begun = s.err != nil // after an error, every call returns it again
	return s.first, s.err
}

// NewSource returns r as a Source of size bytes in the given form. size is -1 if it is not known.
func NewSource(r bodyReader, form store.Representation, size int64) *Source {
	return &Source{bodyReader: r, Representation: form, size: size}
}

// BrokenReader is a body that can't be read.
type BrokenReader struct {
	io.Closer
	Err error
}

// Next returns the error.
func (r *BrokenReader) Next(context.Context) ([]byte, error) { return nil, r.Err }

// Ready is always true.
func (r *BrokenReader) Ready() bool { return true }

// decodedReader reads a growing body decoded.
type decodedReader struct {
	decoder io.ReadCloser
	source  io.Closer
	buf     []byte
}

var _ bodyReader = (*decodedReader)(nil)

// NewDecodedReader returns a reader that decodes source. The reader owns source, unless
// NewDecodedReader returns an error.
func NewDecodedReader(source io.ReadCloser, coding compress.Coding, limit compress.Limit) (*decodedReader, error) {
	r, err := compress.NewReader(source, coding, limit)
	if err != nil {
		return nil, err
	}
	return &decodedReader{decoder: r, source: source, buf: make([]byte, 32<<10)}, nil
}

// Next decodes some more bytes. The context with which source was opened bounds the wait.
func (r *decodedReader) Next(context.Context) ([]byte, error) {
	for {
		n, err := r.decoder.Read(r.buf)
		if n > 0 {
			return r.buf[:n], nil // the decoder repeats its error at the next Read
		}
		if err != nil {
			return nil, err
		}
	}
}

// Ready is always false, because the decoder may have to wait for more bytes.
func (r *decodedReader) Ready() bool { return false }

// Close closes the decoder and its source.
func (r *decodedReader) Close() error {
	err := r.decoder.Close()
	if cerr := r.source.Close(); err == nil {
		err = cerr
	}
	return err
}

// segmentReader reads segments end to end.
type segmentReader struct {
	rest [][]byte
	pos  int // in the first segment
}

// Read copies from the segments.
func (r *segmentReader) Read(p []byte) (n int, err error) {
	for len(r.rest) > 0 && n < len(p) {
		k := copy(p[n:], r.rest[0][r.pos:])
		n, r.pos = n+k, r.pos+k
		if r.pos == len(r.rest[0]) {
			r.rest, r.pos = r.rest[1:], 0
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Replayed is a body whose beginning was read in advance.
type Replayed struct {
	io.Reader
	io.Closer
}

// Broken is a reader that has failed.
type Broken struct{ Err error }

// Read returns the error.
func (b Broken) Read([]byte) (int, error) { return 0, b.Err }
