package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"testing"

	"github.com/molecule-man/go-brrr"
)

// bomb returns 1 GiB of zeros in a coding.
func bomb(t testing.TB, c Coding) []byte {
	t.Helper()
	const size, part = 1 << 30, 16 << 20
	switch c {
	case Gzip:
		return bytes.Repeat(encoded(t, Gzip, make([]byte, part)), size/part)
	case Brotli:
		b, err := os.ReadFile("testdata/zeros-1GiB.br")
		if err != nil {
			t.Fatal(err)
		}
		return b
	default:
		return zstdZeros(20, size)
	}
}

// zstdFrame begins a zstd frame with a window of 1<<log bytes.
func zstdFrame(log int) []byte {
	return []byte{0x28, 0xb5, 0x2f, 0xfd, 0, byte(log-10) << 3}
}

// zstdZeros returns a frame of size zeros, in blocks that repeat one byte.
func zstdZeros(log, size int) []byte {
	const block = 128 << 10
	frame := zstdFrame(log)
	for ; size > 0; size -= block {
		header := uint32(min(size, block))<<3 | 1<<1
		if size <= block {
			header |= 1
		}
		frame = append(frame, byte(header), byte(header>>8), byte(header>>16), 0)
	}
	return frame
}

// allocated returns the number of bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestBombs checks that a gigabyte of zeros is stopped by the limits of bytes and of ratio, with
// little memory.
func TestBombs(t *testing.T) {
	tests := []struct {
		name  string
		limit Limit
		want  error
	}{
		{"by default", Limit{}, ErrRatio},
		{"by ratio", Limit{Bytes: -1, Ratio: 20}, ErrRatio},
		{"by bytes", Limit{Bytes: 8 << 20, Ratio: -1}, ErrTooLarge},
		{"by bytes first", Limit{Bytes: 1000}, ErrTooLarge},
	}
	eachCoding(t, func(t *testing.T, c Coding) {
		body := bomb(t, c)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				var out []byte
				var err error
				grown := allocated(func() { out, err = Decode([]byte("kept"), c, [][]byte{body}, tt.limit) })
				if !errors.Is(err, tt.want) || string(out) != "kept" {
					t.Errorf("Decode: %d bytes, %v; want %v", len(out), err, tt.want)
				}
				if grown > 64<<20 {
					t.Errorf("Decode allocated %d bytes", grown)
				}
				var n int64
				grown = allocated(func() {
					r, _ := NewReader(bytes.NewReader(body), c, tt.limit)
					n, err = io.Copy(io.Discard, r)
					_ = r.Close()
				})
				if !errors.Is(err, tt.want) || (tt.limit.Bytes > 0 && n > tt.limit.Bytes) {
					t.Errorf("Reader: %d bytes, %v; want %v", n, err, tt.want)
				}
				if grown > 16<<20 {
					t.Errorf("Reader allocated %d bytes", grown)
				}
			})
		}
	})
}

// TestFlatMemory checks that memory stays small while a very large body is decoded within its
// limits.
func TestFlatMemory(t *testing.T) {
	const size = 64 << 20
	eachCoding(t, func(t *testing.T, c Coding) {
		body := bomb(t, c)
		grown := allocated(func() {
			r, _ := NewReader(bytes.NewReader(body), c, Limit{Bytes: -1, Ratio: -1})
			if n, err := io.CopyN(io.Discard, r, size); err != nil || n != size {
				t.Errorf("%d bytes, %v", n, err)
			}
			_ = r.Close()
		})
		if grown > 24<<20 {
			t.Errorf("reading %d bytes allocated %d", size, grown)
		}
	})
}

// TestLimitIsExact checks that the limit of bytes is exact.
func TestLimitIsExact(t *testing.T) {
	body := sampleJSON(100_000)
	for _, c := range append([]Coding{Identity}, coded...) {
		whole := encoded(t, c, body)
		for limit, want := range map[int64]error{99_999: ErrTooLarge, 100_000: nil, 100_001: nil} {
			if out, err := Decode(nil, c, [][]byte{whole}, Limit{Bytes: limit}); !errors.Is(err, want) || (want == nil && len(out) != len(body)) {
				t.Errorf("%v, limit %d: %d bytes, %v", c, limit, len(out), err)
			}
		}
	}
}

// TestSmallAndRepetitive checks that short bodies pass with any ratio.
func TestSmallAndRepetitive(t *testing.T) {
	eachCoding(t, func(t *testing.T, c Coding) {
		body := make([]byte, ratioFloor)
		if out, err := Decode(nil, c, [][]byte{encoded(t, c, body)}, Limit{}); err != nil || len(out) != len(body) {
			t.Errorf("%d bytes, %v", len(out), err)
		}
	})
}

// TestZstdWindow checks that a window over 8 MiB is refused before it is allocated.
func TestZstdWindow(t *testing.T) {
	oneSegment := func(size uint64) []byte {
		frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 3<<6 | 1<<5}
		frame = binary.LittleEndian.AppendUint64(frame, size)
		return append(frame, 1, 0, 0)
	}
	tests := []struct {
		name string
		body []byte
		want error
	}{
		{"8 MiB", zstdZeros(23, 1000), nil},
		{"128 MiB", zstdZeros(27, 1000), ErrTooLarge},
		{"8 MiB and an eighth", append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 13<<3 | 1}, zstdZeros(10, 1)[6:]...), ErrTooLarge},
		{"the largest there is", append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0xff}, zstdZeros(10, 1)[6:]...), ErrTooLarge},
		{"one segment of 128 MiB", oneSegment(128 << 20), ErrTooLarge},
		{"one segment of all there is", oneSegment(1<<64 - 1), ErrTooLarge},
		{"a second frame of 128 MiB", append(zstdZeros(20, 10), zstdZeros(27, 1000)...), ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var err error
			grown := allocated(func() { _, err = Decode(nil, Zstd, [][]byte{tt.body}, Limit{}) })
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if tt.want != nil && grown > 4<<20 {
				t.Errorf("allocated %d bytes", grown)
			}
		})
	}
}

// TestStacked checks that one coding is decoded, and that several stacked ones are not.
func TestStacked(t *testing.T) {
	inner := encoded(t, Gzip, make([]byte, 4<<20))
	outer := encoded(t, Gzip, inner)
	out, err := Decode(nil, Gzip, [][]byte{outer}, Limit{})
	if err != nil || !bytes.Equal(out, inner) {
		t.Errorf("gzip in gzip decodes to %d bytes, %v; want the inner %d", len(out), err, len(inner))
	}
	if _, err := Decode(nil, CodingOf("gzip, gzip"), [][]byte{outer}, Limit{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("two named: %v", err)
	}
}

// TestCutShort truncates coded bodies at every byte.
func TestCutShort(t *testing.T) {
	eachCoding(t, func(t *testing.T, c Coding) {
		one := encoded(t, c, sampleJSON(1500))
		for n := range one {
			if out, err := Decode(nil, c, [][]byte{one[:n]}, Limit{}); !errors.Is(err, ErrCorrupt) || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("cut at %d of %d: %d bytes, %v", n, len(one), len(out), err)
			}
		}
	})
}

// TestSecondMemberCutShort truncates the part after a complete member or frame.
func TestSecondMemberCutShort(t *testing.T) {
	named := []byte{0x1f, 0x8b, 8, 1<<3 | 1<<2, 0, 0, 0, 0, 0, 3, 4, 0, 'e', 'x', 't', 'r', 'n', 'a', 'm', 'e', 0}
	named = append(named, encoded(t, Gzip, []byte("second"))[10:]...)
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3}, encoded(t, Zstd, []byte("second"))...)
	for c, second := range map[Coding][]byte{Gzip: named, Zstd: skippable} {
		first := encoded(t, c, []byte("first "))
		out, err := Decode(nil, c, [][]byte{first, second}, Limit{})
		if err != nil || string(out) != "first second" {
			t.Errorf("%v: both whole: %q, %v", c, out, err)
		}
		for n := 1; n < len(second); n++ {
			if c == Zstd && n == 11 {
				continue // the skippable frame is whole, and so is the body
			}
			if out, err := Decode(nil, c, [][]byte{first, second[:n]}, Limit{}); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v cut at %d of %d: %q, %v", c, n, len(second), out, err)
			}
		}
	}
}

// TestTail checks that bytes after a complete body are refused, whether they arrive with it or
// later.
func TestTail(t *testing.T) {
	eachCoding(t, func(t *testing.T, c Coding) {
		whole := encoded(t, c, []byte("whole"))
		for _, tail := range []string{"\x00", "\n", "garbage that is longer than a header", "\x00\x00\x00\x00\x00\x00\x00\x00"} {
			r, _ := NewReader(io.MultiReader(bytes.NewReader(whole), bytes.NewReader([]byte(tail))), c, Limit{})
			out, err := io.ReadAll(r)
			_ = r.Close()
			if !errors.Is(err, ErrCorrupt) || string(out) != "whole" {
				t.Errorf("later %q: %q, %v", tail, out, err)
			}
			if _, err := Decode(nil, c, [][]byte{append(bytes.Clone(whole), tail...)}, Limit{}); !errors.Is(err, ErrCorrupt) {
				t.Errorf("with it %q: %v", tail, err)
			}
		}
	})
}

// TestDamaged changes each byte. br has no checksum, so some changes give another body, but none
// may do more harm.
func TestDamaged(t *testing.T) {
	body := sampleJSON(600)
	const gzipHeader = 10 // its time, flags of the compressor and system say nothing of the body
	eachCoding(t, func(t *testing.T, c Coding) {
		whole := encoded(t, c, body)
		for i := range whole {
			damaged := bytes.Clone(whole)
			damaged[i] ^= 0x41
			out, err := Decode(nil, c, [][]byte{damaged}, Limit{Bytes: 1 << 20})
			switch {
			case err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge):
				t.Errorf("byte %d: %v", i, err)
			case err == nil && c != Brotli && !(c == Gzip && i < gzipHeader) && !bytes.Equal(out, body):
				t.Errorf("byte %d: decodes to another body", i)
			}
		}
	})
}

// TestCodecPanic checks that a panic in a codec costs one body, and that later bodies decode
// correctly.
func TestCodecPanic(t *testing.T) {
	d := &brotliDecoder{z: brrr.NewReader(nil)}
	d.reset(&input{}) // without a reader: the codec panics when it wants more
	if n, err := d.Read(make([]byte, 1)); n != 0 || !errors.Is(err, ErrCorrupt) {
		t.Errorf("Read = %d, %v", n, err)
	}
	d.drop()
	d.reset(&input{r: bytes.NewReader(encoded(t, Brotli, []byte("sound")))})
	if out, err := io.ReadAll(d); err != nil || string(out) != "sound" {
		t.Errorf("afterwards: %q, %v", out, err)
	}
}
