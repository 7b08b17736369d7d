package compress

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// FuzzDecode decodes arbitrary input. Decoders must end within the limits, with an error of this
// package or with the bytes that another decoder returns.
func FuzzDecode(f *testing.F) {
	for i, c := range coded {
		for _, body := range [][]byte{{}, {'x'}, sampleJSON(300), make([]byte, 5000), noise(64)} {
			f.Add(uint8(i), encoded(f, c, body))
		}
	}
	f.Add(uint8(0), append(encoded(f, Gzip, []byte("a")), encoded(f, Gzip, []byte("b"))...))
	f.Add(uint8(2), zstdZeros(20, 1<<20))
	f.Add(uint8(2), zstdFrame(27))
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		c := coded[int(which)%len(coded)]
		const limit = 2 << 20
		out, err := Decode(nil, c, [][]byte{body}, Limit{Bytes: limit})
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrRatio) {
				t.Fatalf("%v: an error of no kind: %v", c, err)
			}
			return
		}
		if len(out) > limit {
			t.Fatalf("%v: %d bytes decoded", c, len(out))
		}
		other, err := io.ReadAll(foreignDecode(c, bytes.NewReader(body)))
		if err != nil || !bytes.Equal(out, other) {
			t.Fatalf("%v: %d bytes, another decoder finds %d, %v", c, len(out), len(other), err)
		}
	})
}

// FuzzRoundTrip encodes arbitrary input.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("a body"), uint8(1), uint8(3), uint16(2))
	f.Add(sampleJSON(200), uint8(1), uint8(11), uint16(70))
	f.Fuzz(func(t *testing.T, body []byte, which, level uint8, piece uint16) {
		c := coded[int(which)%len(coded)]
		roundTripOnce(t, c, int(level%12), split(body, int(piece)+1), body)
	})
}

// roundTripOnce encodes segments and decodes them with this package and with others.
func roundTripOnce(t *testing.T, c Coding, level int, segments [][]byte, body []byte) {
	out, err := Encode(nil, c, level, segments)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(nil, c, [][]byte{out}, Limit{Ratio: -1})
	if err != nil || !bytes.Equal(back, body) {
		t.Fatalf("%v at %d: %d bytes of %d, %v", c, level, len(back), len(body), err)
	}
	back, err = io.ReadAll(foreignDecode(c, bytes.NewReader(out)))
	if err != nil || !bytes.Equal(back, body) {
		t.Fatalf("%v at %d, elsewhere: %d bytes of %d, %v", c, level, len(back), len(body), err)
	}
}
