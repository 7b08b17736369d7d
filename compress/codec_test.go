package compress

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

// foreignDecode decodes with a decoder from another package, or with one that this package has not
// configured.
func foreignDecode(c Coding, r io.Reader) io.Reader {
	switch c {
	case Gzip:
		z, err := stdgzip.NewReader(r)
		if err != nil {
			return failing{err}
		}
		return z
	case Brotli:
		return brotli.NewReader(r)
	default:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return failing{err}
		}
		return z
	}
}

// foreignEncode encodes with an encoder from another package.
func foreignEncode(t testing.TB, c Coding, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch c {
	case Gzip:
		w = stdgzip.NewWriter(&b)
	case Brotli:
		w = brotli.NewWriterLevel(&b, 3)
	default:
		z, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true))
		if err != nil {
			t.Fatal(err)
		}
		w = z
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// failing is a reader and a writer that fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

// split cuts data into segments of n bytes with an empty segment between them.
func split(data []byte, n int) [][]byte {
	segments := [][]byte{{}}
	for part := range slices.Chunk(data, n) {
		segments = append(segments, part, nil)
	}
	return segments
}

func TestRoundTrip(t *testing.T) {
	bodies := map[string][]byte{
		"empty": {}, "one byte": {'x'}, "json 20k": sampleJSON(20 << 10), "zeros": make([]byte, 140<<10),
		"json 3M": sampleJSON(3 << 20), "noise 3M": noise(3 << 20),
	}
	eachCoding(t, func(t *testing.T, c Coding) {
		for name, body := range bodies {
			for _, level := range []int{0, -5, 4, 9, 99} {
				if len(body) > 1<<20 && level != 0 {
					continue // slow, and the code is the same
				}
				t.Run(fmt.Sprintf("%s at %d", name, level), func(t *testing.T) { roundTrip(t, c, level, body) })
			}
		}
	})
}

// roundTrip encodes body at once and as a stream, and decodes both in every way.
func roundTrip(t *testing.T, c Coding, level int, body []byte) {
	prefix := []byte("kept")
	out, err := Encode(slices.Clone(prefix), c, level, split(body, 40<<10))
	if err != nil || !bytes.HasPrefix(out, prefix) {
		t.Fatalf("Encode: %v, after %q", err, out[:min(len(out), 8)])
	}
	var b bytes.Buffer
	w := NewWriter(&b, c, level)
	for part := range slices.Chunk(body, 17<<10) {
		if n, err := w.Write(part); err != nil || n != len(part) {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	for how, coded := range map[string][]byte{"Encode": out[len(prefix):], "Writer": b.Bytes()} {
		if len(body) > 4096 && len(coded) > len(body)+len(body)/100 {
			t.Errorf("%s makes %d bytes of %d", how, len(coded), len(body))
		}
		back, err := Decode(slices.Clone(prefix), c, split(coded, 1000), Limit{Ratio: -1})
		if err != nil || !bytes.Equal(back, append(slices.Clone(prefix), body...)) {
			t.Errorf("%s, Decode: %d bytes, %v", how, len(back), err)
		}
		back, err = io.ReadAll(foreignDecode(c, bytes.NewReader(coded)))
		if err != nil || !bytes.Equal(back, body) {
			t.Errorf("%s, a foreign decoder: %d bytes, %v", how, len(back), err)
		}
	}
}

func TestDecodeForeign(t *testing.T) {
	eachCoding(t, func(t *testing.T, c Coding) {
		for _, body := range [][]byte{{}, {1}, sampleJSON(200 << 10), noise(70 << 10)} {
			back, err := Decode(nil, c, [][]byte{foreignEncode(t, c, body)}, Limit{})
			if err != nil || !bytes.Equal(back, body) {
				t.Errorf("%d bytes: got %d, %v", len(body), len(back), err)
			}
		}
	})
}

// TestBestIsBest checks that the best level is worth its time for its purpose.
func TestBestIsBest(t *testing.T) {
	body := sampleJSON(48 << 10)
	eachCoding(t, func(t *testing.T, c Coding) {
		best, err := Encode(nil, c, Best(c), [][]byte{body})
		if err != nil {
			t.Fatal(err)
		}
		if usual := encoded(t, c, body); len(best) >= len(usual) {
			t.Errorf("best makes %d bytes, the default level %d", len(best), len(usual))
		}
	})
	if Best(Identity) != 0 || Best(Unknown) != 0 || Best(99) != 0 {
		t.Error("a coding without a codec has a best level")
	}
}

func TestBrotliAffordsLessForMore(t *testing.T) {
	if got := []int{affordable(1 << 20), affordable(1<<20 + 1), affordable(4 << 20), affordable(8 << 20)}; !slices.Equal(got, []int{11, 10, 10, 9}) {
		t.Errorf("levels are %v", got)
	}
}

// TestEncodedIsFitToKeep checks that the result of Encode has no spare capacity.
func TestEncodedIsFitToKeep(t *testing.T) {
	eachCoding(t, func(t *testing.T, c Coding) {
		for _, size := range []int{1 << 10, 100 << 10, 600 << 10} {
			if out := encoded(t, c, sampleJSON(size)); cap(out) > len(out)+len(out)/4+64 {
				t.Errorf("%d bytes of %d take room for %d", len(out), size, cap(out))
			}
		}
	})
}

func TestIdentity(t *testing.T) {
	body := []byte("as it is")
	out, err := Encode([]byte("> "), Identity, 5, split(body, 3))
	if err != nil || string(out) != "> as it is" {
		t.Errorf("Encode = %q, %v", out, err)
	}
	if out, err = Decode(nil, Identity, split(body, 3), Limit{}); err != nil || string(out) != "as it is" {
		t.Errorf("Decode = %q, %v", out, err)
	}
	if out, err = Decode(nil, Identity, nil, Limit{}); err != nil || len(out) != 0 {
		t.Errorf("Decode of nothing = %q, %v", out, err)
	}
	if _, err = Decode(nil, Identity, split(body, 3), Limit{Bytes: 7}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Decode past the limit: %v", err)
	}
	var b bytes.Buffer
	w := NewWriter(&b, Identity, 0)
	_, _ = w.Write(body)
	if err := errors.Join(w.Flush(), w.Close()); err != nil || b.String() != "as it is" {
		t.Errorf("Writer wrote %q, %v", b.String(), err)
	}
}

func TestUnsupported(t *testing.T) {
	for _, c := range []Coding{Unknown, 200} {
		if _, err := Encode(nil, c, 0, nil); !errors.Is(err, ErrUnsupported) {
			t.Errorf("Encode: %v", err)
		}
		if _, err := Decode(nil, c, nil, Limit{}); !errors.Is(err, ErrUnsupported) {
			t.Errorf("Decode: %v", err)
		}
		if r, err := NewReader(nil, c, Limit{}); !errors.Is(err, ErrUnsupported) || r != nil {
			t.Errorf("NewReader = %v, %v", r, err)
		}
		w := NewWriter(io.Discard, c, 0)
		if _, err := w.Write([]byte("x")); !errors.Is(err, ErrUnsupported) {
			t.Errorf("Write: %v", err)
		}
		if err := w.Close(); !errors.Is(err, ErrUnsupported) {
			t.Errorf("Close: %v", err)
		}
	}
}

// TestConcurrently uses the pools from many goroutines.
func TestConcurrently(t *testing.T) {
	body := sampleJSON(30 << 10)
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			for j := range 4 {
				mine := body[i*100 : len(body)-j*1000]
				c := coded[(i+j)%len(coded)]
				coded, err := Encode(nil, c, 0, [][]byte{mine})
				if err != nil {
					t.Error(err)
					return
				}
				if back, err := Decode(nil, c, [][]byte{coded}, Limit{}); err != nil || !bytes.Equal(back, mine) {
					t.Errorf("%v: %d bytes of %d, %v", c, len(back), len(mine), err)
				}
			}
		})
	}
	all.Wait()
}

// TestRoundTripProperty writes any body in any pieces with any flushes, and reads it in pieces.
func TestRoundTripProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(coded).Draw(t, "coding")
		level := rapid.IntRange(0, 6).Draw(t, "level")
		segments := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 200), 0, 8).Draw(t, "segments")
		flush := rapid.SliceOfN(rapid.Bool(), 8, 8).Draw(t, "flush")
		body := bytes.Join(segments, nil)

		var b bytes.Buffer
		w := NewWriter(&b, c, level)
		for i, s := range segments {
			if _, err := w.Write(s); err != nil {
				t.Fatal(err)
			}
			if flush[i] {
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		once, err := Encode(nil, c, level, segments)
		if err != nil {
			t.Fatal(err)
		}
		for _, coded := range [][]byte{b.Bytes(), once} {
			piece := rapid.IntRange(1, 100).Draw(t, "piece")
			back, err := Decode(nil, c, split(coded, piece), Limit{})
			if err != nil || !bytes.Equal(back, body) {
				t.Fatalf("%d bytes of %d, %v", len(back), len(body), err)
			}
		}
	})
}
