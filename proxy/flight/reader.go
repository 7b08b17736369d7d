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

// Reader is a cursor on the body of a flight. Only one goroutine may read at a time. Close may be
// called concurrently.
type Reader struct {
	spool *spool
	ctx   context.Context // limits Read and WriteTo, whose signatures have no context

	tap bool // true if the leader uses it, so that it is not a consumer

	// Guarded by the spool's lock.
	segment int // index of the segment, counted from the first one written
	offset  int // within it
	pos     int64
	moved   time.Time // time of the last progress
	parked  bool
	err     error // set when the reader is closed, cut off or too late
}

// Next returns the next bytes as soon as they exist, without copying. The bytes never change and
// stay valid. At the end Next returns io.EOF if the body is complete, and the error of End
// otherwise.
func (r *Reader) Next(ctx context.Context) ([]byte, error) { return r.take(ctx, segmentSize) }

// Read reads available bytes, and waits if there are none.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := r.take(r.ctx, len(p))
	return copy(p, b), err
}

// WriteTo writes the body to w while it grows, segment by segment, without copying.
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

// Close releases the cursor, so that it no longer delays the writer. A pending Read returns
// ErrClosed.
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

// take returns up to limit bytes and advances.
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

// park waits for more bytes.
func (r *Reader) park(ctx context.Context) error {
	s := r.spool
	r.parked = true
	s.parked++
	s.room.signal() // the writer may wait for a slower reader, which from now on must make progress
	err := s.changed.wait(ctx, &s.mu, nil)
	s.parked--
	r.parked = false
	return err
}

// advance returns the rest of the current segment, up to limit bytes.
func (r *Reader) advance(limit int) []byte {
	s := r.spool
	seg := s.segments[r.segment-s.dropped]
	// The segment was the last when we reached its end; now it is full, and another follows.
	if r.offset == len(seg) {
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

// fail removes the reader from the spool. Only the first reason counts. The caller holds the lock.
func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	if _, reading := r.spool.readers[r]; reading && !r.tap {
		r.spool.open--
		r.spool.notifyConsumers(-1)
	}
	delete(r.spool.readers, r)
	r.spool.room.signal()
}
