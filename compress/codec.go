package compress

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"github.com/molecule-man/go-brrr"
)

// Encode appends the segments, encoded as one body, to dst. Level 0 is the coding's default. If the
// coding does not have the level, Encode uses the nearest one. If dst is nil, the result has no
// spare capacity, so it is fit to be stored.
//
// Brotli takes a second for each megabyte at level 11, and half a second at level 10. So bodies
// above 1 MiB get level 10, and bodies above 4 MiB get level 9.
func Encode(dst []byte, c Coding, level int, segments [][]byte) (out []byte, err error) {
	switch {
	case c == Identity:
		return appendAll(dst, segments), nil
	case int(c) >= codings:
		return dst, fmt.Errorf("%w: %s", ErrUnsupported, c)
	}
	size := totalSize(segments)
	level = clampLevel(c, level, levels[c].best)
	if c == Brotli {
		level = min(level, affordable(size))
	}
	err = guarded(c, func() (err error) {
		if c == Brotli && level > levels[c].stream {
			out, err = encodeThorough(dst, level, segments)
		} else {
			out, err = encodeSegments(dst, c, level, size, segments)
		}
		return err
	})
	if err != nil {
		return dst, err
	}
	return out, nil
}

// guarded runs f and turns a panic in it into an error. Codecs are young and process untrusted
// input, and the callers of Encode do not recover. A fault in a codec may cost one body, but never
// the process.
func guarded(c Coding, f func() error) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%w: %s codec failed: %v", ErrCorrupt, c, fault)
		}
	}()
	return f()
}

// affordable returns the highest brotli level that finishes size bytes in about two seconds.
func affordable(size int64) int {
	switch {
	case size <= 1<<20:
		return 11
	case size <= 4<<20:
		return 10
	default:
		return 9
	}
}

// encodeSegments encodes segments with a pooled encoder.
func encodeSegments(dst []byte, c Coding, level int, size int64, segments [][]byte) ([]byte, error) {
	e, err := acquireEncoder(nil, c, level, size)
	if err != nil {
		return nil, err
	}
	for _, s := range segments {
		if _, err := e.Write(s); err != nil {
			return nil, fmt.Errorf("compress: encode %s: %w", c, err)
		}
	}
	if err := e.Close(); err != nil {
		return nil, fmt.Errorf("compress: encode %s: %w", c, err)
	}
	out := append(dst, e.out.kept...)
	e.release() // not deferred, because an encoder that failed must not be used again
	return out, nil
}

// encodeThorough compresses with brotli's slow levels. It uses the one call that starts no helper
// goroutines.
func encodeThorough(dst []byte, level int, segments [][]byte) ([]byte, error) {
	whole := segments
	if len(segments) != 1 {
		whole = [][]byte{appendAll(nil, segments)}
	}
	out, err := brrr.Compress(whole[0], level)
	if err != nil {
		return nil, fmt.Errorf("compress: encode %s: %w", Brotli, err)
	}
	return append(dst, out...), nil
}

// Decode appends the body that the segments hold in coding c to dst. On an error it returns dst
// unchanged, with [ErrTooLarge], [ErrRatio] or [ErrCorrupt]. Empty input is not a valid body in any
// coding. A caller that treats an encoded body of length zero as empty must not call Decode.
func Decode(dst []byte, c Coding, segments [][]byte, limit Limit) ([]byte, error) {
	r, err := newReader(&segmentReader{segments: segments}, c, limit)
	if err != nil {
		return dst, err
	}
	defer r.Close()
	out := dst
	if room := r.firstGuess(totalSize(segments)); cap(out)-len(out) < room {
		out = slices.Grow(out, room)
	}
	for {
		if len(out) == cap(out) {
			out = slices.Grow(out, bytes.MinRead)
		}
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

// segmentReader reads segments one after the other.
type segmentReader struct {
	segments [][]byte
	off      int
}

// Read implements io.Reader.
func (r *segmentReader) Read(p []byte) (int, error) {
	for len(r.segments) > 0 {
		if n := copy(p, r.segments[0][r.off:]); n > 0 || len(p) == 0 {
			r.off += n
			return n, nil
		}
		r.segments, r.off = r.segments[1:], 0
	}
	return 0, io.EOF
}

// totalSize returns the number of bytes in segments.
func totalSize(segments [][]byte) int64 {
	var n int64
	for _, s := range segments {
		n += int64(len(s))
	}
	return n
}

// appendAll appends the segments to dst.
func appendAll(dst []byte, segments [][]byte) []byte {
	dst = slices.Grow(dst, int(totalSize(segments)))
	for _, s := range segments {
		dst = append(dst, s...)
	}
	return dst
}
