package compress

import (
	"fmt"
	"io"
)

// NewReader returns a reader of what r holds in coding c, within limit. Nothing is read of r before the first Read.
//
// Its Read ends with io.EOF only if the input was whole, ended there, and was not empty; else with [ErrTooLarge],
// [ErrRatio], [ErrCorrupt], or the error of r as it came. Bytes read before an error are good to pass on, the body is
// not. gzip of several members and zstd of several frames are read to the end. Close gives its memory back and leaves
// r alone; it must not run beside Read.
func NewReader(r io.Reader, c Coding, limit Limit) (io.ReadCloser, error) {
	d, err := newReader(r, c, limit)
	if err != nil {
		return nil, err // not a nil *reader in an interface
	}
	return d, nil
}

// reader holds a decoder to its limits and to honest ends.
type reader struct {
	coding Coding
	limit  Limit
	dec    *pooledDecoder // nil once closed
	out    int64          // bytes decoded
	err    error          // the last one, for good
}

// newReader is NewReader for those who need to know.
func newReader(r io.Reader, c Coding, limit Limit) (*reader, error) {
	if int(c) >= codings {
		return nil, fmt.Errorf("%w: %s", ErrUnsupported, c)
	}
	dec, err := acquireDecoder(r, c)
	if err != nil {
		return nil, err
	}
	return &reader{coding: c, limit: limit.orDefault(), dec: dec}, nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil || len(p) == 0 {
		return 0, r.err
	}
	n, err := r.dec.Read(p)
	r.out += int64(n)
	if limited := r.limit.check(r.coding, r.dec.in.n, r.out); limited != nil {
		r.err = limited
		return 0, r.err
	}
	r.err = r.judge(err)
	return n, r.err
}

// judge says what an error of the decoder comes from. An error of the input goes first whatever a codec made of it:
// zstd takes an io.ErrUnexpectedEOF between two frames, which is what net/http says of a body cut short, for a clean
// end.
func (r *reader) judge(err error) error {
	in := &r.dec.in
	switch {
	case err == nil:
		return nil
	case in.err != nil && in.err != io.EOF:
		return in.err
	case err == io.EOF && (in.n > 0 || r.coding == Identity):
		return io.EOF
	default:
		return decodeError(r.coding, err)
	}
}

// Close implements io.Closer.
func (r *reader) Close() error {
	if r.dec != nil {
		r.dec.release()
		r.dec, r.err = nil, ErrClosed
	}
	return nil
}

// firstGuess returns how much room to begin with for what size coded bytes will give.
func (r *reader) firstGuess(size int64) int {
	const most = 1 << 20
	if r.coding != Identity {
		size *= 4
	}
	if r.limit.Bytes >= 0 {
		size = min(size, r.limit.Bytes)
	}
	return int(min(size, most)) + 1 // one more, for the Read that finds the end
}
