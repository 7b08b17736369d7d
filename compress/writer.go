package compress

import (
	"fmt"
	"io"
)

// Writer codes a stream. It is for one goroutine at a time. It ends with Close or Abort, either of which gives its
// memory back; what comes after that, but for Close and Abort, fails.
type Writer interface {
	io.Writer
	// Flush passes on all that was written, so that the other end can decode it now.
	Flush() error
	// Close ends the coded stream. It does not close the writer underneath.
	Close() error
	// Abort gives the stream up where it is, without the mark that says it is whole: a body that broke off must not
	// look complete.
	Abort()
}

// NewWriter returns a Writer that codes to w. Level 0 is the coding's default; one that the coding has not for
// streams is the nearest it has. Identity passes all through; with Unknown every call fails.
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

// stream is the one Writer there is. Of enc and plain one is set until the end.
type stream struct {
	coding Coding
	enc    *pooledEncoder
	plain  io.Writer
	err    error // the first one, for good
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

// note keeps the first error: after one, nothing that an encoder still holds can make the stream whole.
func (s *stream) note(err error) {
	if err != nil && s.err == nil {
		s.err = err
	}
}

// end gives the encoder back, once.
func (s *stream) end() {
	if s.enc != nil {
		s.enc.release()
	}
	s.enc, s.plain, s.err = nil, nil, ErrClosed
}
