package compress

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Errors of decoding and of streams, to be told apart with errors.Is. An error of the reader or writer underneath is
// none of these and is returned as it came.
var (
	// ErrTooLarge says that the decoded body, or the window that it asks for, is larger than may be.
	ErrTooLarge = errors.New("compress: decoded body over the limit")
	// ErrRatio says that the body grows more in decoding than may be.
	ErrRatio = errors.New("compress: decoded body over the ratio limit")
	// ErrCorrupt says that the input is not what its coding says: damaged, cut short (then it is
	// io.ErrUnexpectedEOF as well), empty, or followed by something else.
	ErrCorrupt = errors.New("compress: corrupt input")
	// ErrUnsupported says that a coding can't be read or written here.
	ErrUnsupported = errors.New("compress: unsupported content coding")
	// ErrClosed says that a reader or writer was used after Close or Abort.
	ErrClosed = errors.New("compress: used after close")
)

const (
	// DefaultLimitBytes is what a Limit of no Bytes allows.
	DefaultLimitBytes = 64 << 20
	// DefaultLimitRatio is what a Limit of no Ratio allows. Repetitive but honest JSON stays below; zeros in gzip
	// reach 1030, in br and zstd far more.
	DefaultLimitRatio = 200

	// ratioFloor is how much may come of any input before its ratio counts: so little hurts nobody, and short
	// bodies of one repeated byte have high ratios by nature.
	ratioFloor = 1 << 20
	// maxWindow is the largest window that is decoded: RFC 9659 §3 allows zstd no more as a content coding.
	maxWindow = 8 << 20
)

// Limit bounds what decoding may bring forth. The zero value holds the defaults.
type Limit struct {
	Bytes int64 // decoded size; 0 is DefaultLimitBytes, negative is unbounded
	Ratio int64 // decoded size over coded size, counted from 1 MiB on; 0 is DefaultLimitRatio, negative is unbounded
}

// orDefault puts defaults in place of zeros.
func (l Limit) orDefault() Limit {
	if l.Bytes == 0 {
		l.Bytes = DefaultLimitBytes
	}
	if l.Ratio == 0 {
		l.Ratio = DefaultLimitRatio
	}
	return l
}

// check returns the error for out bytes decoded from in bytes. It must not hold zeros.
func (l Limit) check(c Coding, in, out int64) error {
	if l.Bytes >= 0 && out > l.Bytes {
		return fmt.Errorf("%w: %s gives over %d bytes", ErrTooLarge, c, l.Bytes)
	}
	if l.Ratio >= 0 && c != Identity && out > ratioFloor && out/l.Ratio > in {
		return fmt.Errorf("%w: %s gives %d bytes of %d, the ratio limit is %d", ErrRatio, c, out, in, l.Ratio)
	}
	return nil
}

// decodeError says in this package's terms what went wrong in a codec.
func decodeError(c Coding, err error) error {
	switch {
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrTooLarge):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %s input ends early: %w", ErrCorrupt, c, io.ErrUnexpectedEOF)
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return fmt.Errorf("%w: %s wants a window over %d bytes: %w", ErrTooLarge, c, maxWindow, err)
	default:
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, c, err)
	}
}
