package compress

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Errors of decoding and of streams, to be distinguished with errors.Is. An error of the underlying
// reader or writer is not one of these and is returned unchanged.
var (
	// ErrTooLarge means that the decoded body, or the window that it needs, exceeds the limit.
	ErrTooLarge = errors.New("compress: decoded body over the limit")
	// ErrRatio means that the body grows more in decoding than the limit allows.
	ErrRatio = errors.New("compress: decoded body over the ratio limit")
	// ErrCorrupt means that the input is not valid in its coding: damaged, truncated (then it is
	// io.ErrUnexpectedEOF as well), empty, or followed by other bytes.
	ErrCorrupt = errors.New("compress: corrupt input")
	// ErrUnsupported means that this package can't read or write the coding.
	ErrUnsupported = errors.New("compress: unsupported content coding")
	// ErrClosed means that a reader or writer was used after Close or Abort.
	ErrClosed = errors.New("compress: used after close")
)

const (
	// DefaultLimitBytes is the bound if Limit.Bytes is 0.
	DefaultLimitBytes = 64 << 20
	// DefaultLimitRatio is the bound if Limit.Ratio is 0. Repetitive but honest JSON stays below
	// it. Zeros reach 1030 in gzip, and far more in br and zstd.
	DefaultLimitRatio = 200

	// ratioFloor is the decoded size from which the ratio counts. A smaller body does no harm, and
	// a short body of one repeated byte naturally has a high ratio.
	ratioFloor = 1 << 20
	// maxWindow is the largest window that is decoded. RFC 9659 §3 allows zstd no larger one as a
	// content coding.
	maxWindow = 8 << 20
)

// Limit bounds the output of decoding. The zero value holds the defaults.
type Limit struct {
	Bytes int64 // decoded size; 0 is DefaultLimitBytes, negative is unbounded
	Ratio int64 // decoded size divided by coded size, counted from 1 MiB on; 0 is DefaultLimitRatio, negative is unbounded
}

// orDefault replaces zeros by defaults.
func (l Limit) orDefault() Limit {
	if l.Bytes == 0 {
		l.Bytes = DefaultLimitBytes
	}
	if l.Ratio == 0 {
		l.Ratio = DefaultLimitRatio
	}
	return l
}

// check returns an error if out bytes decoded from in bytes exceed the limit. l must not contain
// zeros.
func (l Limit) check(c Coding, in, out int64) error {
	if l.Bytes >= 0 && out > l.Bytes {
		return fmt.Errorf("%w: %s decodes to more than %d bytes", ErrTooLarge, c, l.Bytes)
	}
	if l.Ratio >= 0 && c != Identity && out > ratioFloor && out/l.Ratio > in {
		return fmt.Errorf("%w: %s decodes to %d bytes from %d; the ratio limit is %d", ErrRatio, c, out, in, l.Ratio)
	}
	return nil
}

// decodeError translates a codec's error into an error of this package.
func decodeError(c Coding, err error) error {
	switch {
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrTooLarge):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %s input ends early: %w", ErrCorrupt, c, io.ErrUnexpectedEOF)
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return fmt.Errorf("%w: %s needs a window over %d bytes: %w", ErrTooLarge, c, maxWindow, err)
	default:
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, c, err)
	}
}
