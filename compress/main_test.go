package compress

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// coded lists the codings that have a codec.
var coded = []Coding{Gzip, Brotli, Zstd}

// eachCoding runs a test for each coding that has a codec.
func eachCoding(t *testing.T, f func(t *testing.T, c Coding)) {
	for _, c := range coded {
		t.Run(c.String(), func(t *testing.T) { f(t, c) })
	}
}

// sampleJSON returns n bytes of a plausible API response.
func sampleJSON(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, `{"id":%d,"name":"user %d","email":"u%d@example.org","active":%v,"score":%.3f,"tags":["a%d","b"]},`,
			r.IntN(1e6), r.IntN(1e4), r.IntN(1e5), r.IntN(2) == 0, r.Float64(), r.IntN(50))
	}
	return b.Bytes()[:n]
}

// noise returns n incompressible bytes.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// encoded returns data in coding c at its default level.
func encoded(t testing.TB, c Coding, data []byte) []byte {
	t.Helper()
	out, err := Encode(nil, c, 0, [][]byte{data})
	if err != nil {
		t.Fatalf("Encode: %v", err)
	}
	return out
}
