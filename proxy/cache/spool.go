package cache

import (
	"bytes"
	"io"
	"sync"

	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/flight"
)

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// spoolCoder codes a fill's body once, as it comes, for all who read along under that coding. The zero value does nothing.
type spoolCoder struct {
	spool  *flight.Flight[uint64, struct{}]
	writer compress.Writer
	ended  bool
	lost   bool // coding failed: whoever reads it is told, and it is not kept
}

// openSpool starts the coding that the leader would like best, if the body is to be coded at all.
func (c *Cache) openSpool(j *job, l *landing, size int64) *spoolCoder {
	if l.derive == 0 || l.coding != compress.Identity {
		return &spoolCoder{}
	}
	res := j.x.res
	coding, ok := compress.Negotiate(j.accept, l.derive.With(compress.Identity), res.Compress.Encodings)
	if !ok || coding == compress.Identity {
		return &spoolCoder{}
	}
	f, _, err := c.spools.Join(c.serial.Add(1), 0)
	if err != nil {
		return &spoolCoder{}
	}
	f.Announce(struct{}{}, res.MaxObject)
	l.spool, l.coded = f, coding
	return &spoolCoder{spool: f, writer: compress.NewWriter(f, coding, res.Compress.Level[coding])}
}

// write codes p and makes what it has so far visible: a reader along must not wait for the rest of a slow body.
func (s *spoolCoder) write(p []byte) {
	if s.writer == nil || s.lost {
		return
	}
	if _, err := s.writer.Write(p); err != nil {
		s.fail(err)
		return
	}
	if err := s.writer.Flush(); err != nil {
		s.fail(err)
	}
}

// finish ends the coded body well and returns it, or nil where there is none to keep.
func (s *spoolCoder) finish() []byte {
	if s.writer == nil || s.lost {
		return nil
	}
	if err := s.writer.Close(); err != nil {
		s.writer = nil
		s.fail(err)
		return nil
	}
	s.writer = nil
	segments, _, whole := s.spool.Body()
	s.end(nil)
	if !whole {
		return nil
	}
	return bytes.Join(segments, nil)
}

// fail tells those who read along that the rest will not come.
func (s *spoolCoder) fail(err error) {
	s.lost = true
	s.end(err)
}

// abort ends what neither finish nor fail has ended.
func (s *spoolCoder) abort() {
	if s.writer != nil {
		s.writer.Close()
		s.writer = nil
	}
	s.end(io.ErrUnexpectedEOF)
}

func (s *spoolCoder) end(err error) {
	if s.spool != nil && !s.ended {
		s.ended = true
		s.spool.End(flight.Shared, err)
	}
}
