package compress

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/molecule-man/go-brrr"
)

// encoder is a codec's writing side.
type encoder interface {
	io.WriteCloser
	Flush() error
	// reset begins a new stream to w. size is its length, or -1 if that is unknown.
	reset(w io.Writer, size int64)
}

// Encoders come in two window sizes. While a stream lives, its encoder needs about as much memory
// as its window, and ten thousand streams may live for hours.
const (
	smallWindow   = 512 << 10
	largeWindow   = 8 << 20
	windowClasses = 2
	maxLevels     = 12
)

// windowClass returns the class for a body with the given size, or -1 if the size is unknown.
func windowClass(size int64) int {
	if size > smallWindow {
		return 1
	}
	return 0
}

// encoders holds a pool for each coding, level and window class.
var encoders [codings][maxLevels][windowClasses]sync.Pool

// pooledEncoder is an encoder with its own sink, so that it keeps no caller's writer while it is in
// the pool.
type pooledEncoder struct {
	encoder
	out  sink
	home *sync.Pool
}

// sink passes bytes on to w, or keeps them if w is nil.
type sink struct {
	w    io.Writer
	kept []byte
}

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	if s.w != nil {
		return s.w.Write(p)
	}
	s.kept = append(s.kept, p...)
	return len(p), nil
}

// acquireEncoder takes an encoder for a body of size bytes (-1: unknown) from its pool. The encoder
// writes to w, or to out.kept if w is nil.
func acquireEncoder(w io.Writer, c Coding, level int, size int64) (*pooledEncoder, error) {
	class := windowClass(size)
	home := &encoders[c][poolLevel(c, level)][class]
	e, ok := home.Get().(*pooledEncoder)
	if !ok {
		e = &pooledEncoder{home: home}
		var err error
		if e.encoder, err = newEncoder(&e.out, c, level, class); err != nil {
			return nil, fmt.Errorf("compress: new %s encoder: %w", c, err)
		}
	}
	e.out.w = w
	e.reset(&e.out, size)
	return e, nil
}

// maxKept is the largest scratch buffer that goes back to the pool with its encoder.
const maxKept = 1 << 20

// release returns the encoder to its pool. The encoder may be in any state, because the next use
// begins with reset.
func (e *pooledEncoder) release() {
	e.out.w = nil
	e.out.kept = e.out.kept[:0]
	if cap(e.out.kept) > maxKept {
		e.out.kept = nil
	}
	e.home.Put(e)
}

// newEncoder returns a new encoder. All encoders run in the goroutine of their caller.
func newEncoder(w io.Writer, c Coding, level, class int) (encoder, error) {
	switch c {
	case Gzip:
		z, err := gzip.NewWriterLevel(w, level)
		return gzipEncoder{z}, err
	case Brotli:
		lgwin := [windowClasses]int{19, 22}[class] // 512 KiB, 4 MiB
		z, err := brrr.NewWriterOptions(w, level, brrr.WriterOptions{LGWin: lgwin})
		return brotliEncoder{z}, err
	case Zstd:
		z, err := zstd.NewWriter(w,
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
			zstd.WithWindowSize([windowClasses]int{smallWindow, largeWindow}[class]),
			zstd.WithEncoderConcurrency(1),
			zstd.WithLowerEncoderMem(true),
			zstd.WithZeroFrames(true))
		return zstdEncoder{z}, err
	}
	return nil, ErrUnsupported
}

// gzipEncoder adapts klauspost's gzip to encoder.
type gzipEncoder struct{ *gzip.Writer }

func (e gzipEncoder) reset(w io.Writer, _ int64) { e.Reset(w) }

// brotliEncoder adapts brrr to encoder.
type brotliEncoder struct{ *brrr.Writer }

func (e brotliEncoder) reset(w io.Writer, size int64) { e.ResetWithSizeHint(w, uint(max(size, 0))) }

// zstdEncoder adapts klauspost's zstd to encoder.
type zstdEncoder struct{ *zstd.Encoder }

func (e zstdEncoder) reset(w io.Writer, size int64) {
	if size > 0 {
		e.ResetContentSize(w, size) // announced in the frame, so that decoders can allocate once
		return
	}
	e.Reset(w)
}
