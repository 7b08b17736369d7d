package compress

import (
	"fmt"
	"io"
)

// Writer encodes a stream. Only one goroutine may use it at a time. The caller must end it with
// Close or Abort, which release its memory. After that, every call except Close and Abort fails.
type Writer interface {
	io.Writer
	// Flush sends all written bytes, so that the receiver can decode them now.
	Flush() error
	// Close ends the coded stream. It does not close the underlying writer.
	Close() error
	// Abort ends the stream without its end mark, so that an incomplete body does not look
	// complete.
	Abort()
}

// NewWriter returns a Writer that encodes to w. Level 0 is the coding's default. If the coding does
// not have the level for streams, NewWriter uses the nearest one. Identity passes all bytes
// through. With Unknown, every call fails.
func NewWriter(w io.Writer, c Coding, level int) Writer {
	s := &stream{coding: c}
	switch {
	case c == Identity:
		s.plain = w
	case int(c) >= codings:
		s.err = fmt.Errorf("%w: %s", ErrUnsupported, c)
	default:
		s.enc, s.err = acquireEncoder(w, c, clampLevel(c, level, levels[c].stream), -1)
	}
	return s
}

// stream implements Writer. Until the end, either enc or plain is set.
type stream struct {
	coding Coding
	enc    *pooledEncoder
	plain  io.Writer
	err    error // the first error, which is permanent
}

var _ Writer = (*stream)(nil)

// Write implements Writer.
func (s *stream) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	w := s.plain
	if s.enc != nil {
		w = s.enc
	}
	n, err := w.Write(p)
	s.note(err)
	return n, err
}

// Flush implements Writer.
func (s *stream) Flush() error {
	if s.err == nil && s.enc != nil {
		s.note(s.enc.Flush())
	}
	return s.err
}

// Close implements Writer.
func (s *stream) Close() error {
	if s.err == nil && s.enc != nil {
		s.note(s.enc.Close())
	}
	err := s.err
	s.end()
	if err == ErrClosed {
		return nil
	}
	return err
}

// Abort implements Writer.
func (s *stream) Abort() { s.end() }

// note keeps the first error. After an error, the encoder's remaining output can't make the stream
// complete.
func (s *stream) note(err error) {
	if err != nil && s.err == nil {
		s.err = err
	}
}

// end returns the encoder to its pool once.
func (s *stream) end() {
	if s.enc != nil {
		s.enc.release()
	}
	s.enc, s.plain, s.err = nil, nil, ErrClosed
}
