package upstream

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"
)

// TestGatheredBodyTakesMemoryAsItComes, and not as it is announced.
func TestGatheredBodyTakesMemoryAsItComes(t *testing.T) {
	gone := errors.New("the client has gone")
	const times = 200
	var before, after runtime.MemStats
	for _, come := range []int{0, 1, 500, 513, 5000, 30_000} {
		runtime.ReadMemStats(&before)
		for range times {
			src := io.NopCloser(io.MultiReader(bytes.NewReader(make([]byte, come)), iotest.ErrReader(gone)))
			g := &gathered{ReadCloser: src}
			if err := g.whole(gatherMost); err != gone {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		own := come + 1024 // what the test itself takes for each
		if each := int(after.TotalAlloc-before.TotalAlloc)/times - own; each > 6*come+2048 {
			t.Errorf("%d bytes have come, %d were allocated", come, each)
		}
	}
}

// TestGatheredBodyIsWhole whatever its size is, and in whatever pieces it comes.
func TestGatheredBodyIsWhole(t *testing.T) {
	for _, size := range []int{1, 511, 512, 513, 2047, 2048, 2049, 40_000, gatherMost} {
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(i * 7)
		}
		for _, more := range []int{-1, 0, 1} {
			given := append(bytes.Clone(want), 'x')[:size+more]
			for _, src := range []io.Reader{bytes.NewReader(given), iotest.HalfReader(bytes.NewReader(given)), iotest.DataErrReader(bytes.NewReader(given))} {
				g := &gathered{ReadCloser: io.NopCloser(src)}
				err := g.whole(size)
				if (err == nil) != (more == 0) {
					t.Fatalf("%d bytes of %d: %v", size+more, size, err)
				}
				if more < 0 && err != io.ErrUnexpectedEOF {
					t.Errorf("%d bytes of %d: %v", size+more, size, err)
				}
				if more == 0 {
					if got, err := io.ReadAll(g); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%d bytes of %d, %v", len(got), size, err)
					}
				}
			}
		}
	}
}
