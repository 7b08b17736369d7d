package flight

import (
	"context"
	"io"
	"time"
)

var (
	_ io.ReadCloser = (*Reader)(nil)
	_ io.WriterTo   = (*Reader)(nil)
)

// Reader is a cursor on the body of a flight. One goroutine reads; Close may be called from any.
type Reader struct {
	spool *spool
	ctx   context.Context // bounds Read and WriteTo, whose signatures have no room for it

	// Guarded by the spool's lock.
	segment int // index of the segment, the forgotten ones counted
	offset  int // within it
	pos     int64
	moved   time.Time // when bytes were last taken
	parked  bool
	err     error // set once the reader is out: closed, cut off, too late
}

// Next returns the bytes that come next as soon as there are some, without copying: they never change and stay valid. At the end it returns
// io.EOF if the body is complete, else the reason why it is not.
func (r *Reader) Next(ctx context.Context) ([]byte, error) { return r.take(ctx, segmentSize) }

// Read reads some of the bytes that are there, and waits when there are none.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := r.take(r.ctx, len(p))
	return copy(p, b), err
}

// WriteTo writes the body to w as it comes, segment by segment, without copying.
func (r *Reader) WriteTo(w io.Writer) (n int64, err error) {
	for {
		b, err := r.Next(r.ctx)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		k, err := w.Write(b)
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
}

// Close gives the cursor up; what it held back is released, and a Read under way returns ErrClosed.
func (r *Reader) Close() error {
	s := r.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	r.fail(ErrClosed)
	if r.parked {
		s.changed.signal()
	}
	return nil
}

// take returns up to limit bytes and moves on.
func (r *Reader) take(ctx context.Context, limit int) ([]byte, error) {
	s := r.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case r.err != nil:
			return nil, r.err
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case r.pos < s.size:
			return r.advance(limit), nil
		case s.ended && s.err != nil:
			return nil, s.err
		case s.ended:
			return nil, io.EOF
		}
		if err := r.park(ctx); err != nil {
			return nil, err
		}
	}
}

// park waits for more.
func (r *Reader) park(ctx context.Context) error {
	s := r.spool
	r.parked = true
	s.parked++
	s.room.signal() // the writer may be waiting for a slower one, who must not stand still from now on
	err := s.changed.wait(ctx, &s.mu, nil)
	s.parked--
	r.parked = false
	return err
}

// advance hands out the rest of the current segment, or limit bytes of it.
func (r *Reader) advance(limit int) []byte {
	s := r.spool
	seg := s.segments[r.segment-s.dropped]
	if r.offset == len(seg) { // it was the last when we came to its end; it is full now, and there is another
		r.segment, r.offset = r.segment+1, 0
		seg = s.segments[r.segment-s.dropped]
	}
	end := min(len(seg), r.offset+limit)
	b := seg[r.offset:end:end]
	r.offset = end
	r.pos += int64(len(b))
	r.moved = s.now()
	s.room.signal()
	return b
}

// fail takes the reader out of the spool for the given reason; the first reason stays. The lock is held.
func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	delete(r.spool.readers, r)
	r.spool.room.signal()
}
