package cache

import (
	"context"
	"io"

	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// bodyReader reads a body that is still growing.
type bodyReader interface {
	// Next returns the next bytes, which are good until the next call, or io.EOF at the end of a complete body.
	Next(ctx context.Context) ([]byte, error)
	// Ready reports whether Next would return at once.
	Ready() bool
	Close() error
}

// source is a landing's body as one client reads it.
type source struct {
	bodyReader
	store.Representation       // coding and head; no body
	size                 int64 // -1: not known

	begun bool   // first and err are what the next Next returns
	first []byte // was read in advance
	err   error  // or came instead
}

// begin looks at the first bytes in advance, where something has come, and returns why there are none. Where none are to come it waits for the end, at
// which the response is stored: its head alone is all of it.
func (s *source) begin(ctx context.Context) error {
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
func (s *source) Ready() bool { return s.begun || s.bodyReader.Ready() }

// Next returns the next bytes.
func (s *source) Next(ctx context.Context) ([]byte, error) {
	if !s.begun {
		return s.bodyReader.Next(ctx)
	}
	s.begun = s.err != nil // an end stays one
	return s.first, s.err
}

// open picks the body that x's client can read: as the origin sent it, or as it is being coded. A client that reads neither gets it decoded.
func (l *landing) open(x *exchange, f *fillFlight) *source {
	accept := x.r.Header["Accept-Encoding"]
	if l.spool != nil {
		have := compress.SetOf(l.coding, l.coded)
		if coding, ok := compress.Negotiate(accept, have, x.res.Compress.Encodings); ok && coding == l.coded {
			return newSource(l.spool.Reader(x.ctx), store.Representation{Coding: coding, Head: codedHead(l.facts.Status, l.header, coding)}, -1)
		}
	}
	plain := f.Reader(x.ctx)
	if l.derive.Has(compress.Identity) && !compress.Accepts(accept, l.coding) {
		if decoded, err := newDecodedReader(plain, l.coding, x.res.decodeLimit()); err == nil {
			return newSource(decoded, store.Representation{Head: codedHead(l.facts.Status, l.header, compress.Identity)}, -1)
		}
	}
	return newSource(plain, store.Representation{Coding: l.coding, Head: l.head}, l.size)
}

func newSource(r bodyReader, form store.Representation, size int64) *source {
	return &source{bodyReader: r, Representation: form, size: size}
}

// decodedReader reads a growing body decoded.
type decodedReader struct {
	decoder io.ReadCloser
	source  io.Closer
	buf     []byte
}

var _ bodyReader = (*decodedReader)(nil)

// newDecodedReader decodes source. It owns source from then on, unless it returns an error.
func newDecodedReader(source io.ReadCloser, coding compress.Coding, limit compress.Limit) (*decodedReader, error) {
	r, err := compress.NewReader(source, coding, limit)
	if err != nil {
		return nil, err
	}
	return &decodedReader{decoder: r, source: source, buf: make([]byte, 32<<10)}, nil
}

// Next decodes some more. What bounds the wait is the context that the source was opened with.
func (r *decodedReader) Next(context.Context) ([]byte, error) {
	for {
		n, err := r.decoder.Read(r.buf)
		if n > 0 {
			return r.buf[:n], nil // a decoder's error is its answer to the next Read too
		}
		if err != nil {
			return nil, err
		}
	}
}

// Ready is never sure: the decoder may have to wait for more.
func (r *decodedReader) Ready() bool { return false }

// Close closes the decoder and what it reads from.
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
	pos  int // in the first
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
