package compress

import (
	"fmt"
	"io"
)

// NewReader returns a reader that decodes r from coding c, within limit. It reads nothing from r
// before the first Read.
//
// Read returns io.EOF only if the input was complete, ended there, and was not empty. Otherwise it
// returns [ErrTooLarge], [ErrRatio] or [ErrCorrupt], or the unchanged error of r. A caller may pass
// on the bytes before an error, but must not treat them as a whole body. Read decodes gzip with
// several members and zstd with several frames to the end. Close releases memory and does not close
// r. It must not run concurrently with Read.
func NewReader(r io.Reader, c Coding, limit Limit) (io.ReadCloser, error) {
	d, err := newReader(r, c, limit)
	if err != nil {
		return nil, err // not a nil *reader in an interface
	}
	return d, nil
}

// reader enforces a decoder's limits and correct ends.
type reader struct {
	coding Coding
	limit  Limit
	dec    *pooledDecoder // nil once closed
	out    int64          // bytes decoded
	err    error          // the last error, which is permanent
}

// newReader is NewReader with the concrete type.
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
	r.err = r.readError(err)
	return n, r.err
}

// readError returns the error to report for an error of the decoder. An error of the input takes
// precedence over the codec's: zstd treats io.ErrUnexpectedEOF between two frames as a clean end,
// although net/http returns it for a truncated body.
func (r *reader) readError(err error) error {
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

// firstGuess returns the initial capacity for the decoded form of size coded bytes.
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
