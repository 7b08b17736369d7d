package cache

import (
	"context"
	"io"

	"github.com/penstock/penstock/compress"
)

// alongReader reads a body that is still growing.
type alongReader interface {
	// Next returns the next bytes, which nobody changes, or io.EOF at the end of a complete body.
	Next(ctx context.Context) ([]byte, error)
	// Ready reports whether Next would return at once.
	Ready() bool
}

// decodedAlong reads a growing body decoded.
type decodedAlong struct {
	io.ReadCloser
	source io.Closer
	buf    []byte
}

// newDecodedAlong decodes source. It owns source from then on, unless it returns an error.
func newDecodedAlong(source io.ReadCloser, coding compress.Coding, limit compress.Limit) (*decodedAlong, error) {
	r, err := compress.NewReader(source, coding, limit)
	if err != nil {
		return nil, err
	}
	return &decodedAlong{ReadCloser: r, source: source, buf: make([]byte, 32<<10)}, nil
}

// Next decodes some more. The bytes are good until the next call.
func (r *decodedAlong) Next(context.Context) ([]byte, error) {
	for {
		n, err := r.Read(r.buf)
		if n > 0 {
			return r.buf[:n], nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// Ready is never sure: the decoder may have to wait for more.
func (r *decodedAlong) Ready() bool { return false }

// Close closes the decoder and what it reads from.
func (r *decodedAlong) Close() error {
	err := r.ReadCloser.Close()
	if cerr := r.source.Close(); err == nil {
		err = cerr
	}
	return err
}
