package flight

import (
	"fmt"
	"io"
	"sync"
	"testing"
)

// BenchmarkFlight measures a whole flight: join, announce, and 1 MiB in pieces of 32 KiB that all
// readers read to the end.
func BenchmarkFlight(b *testing.B) {
	piece := noise(chunk)
	for _, readers := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			var g Group[string, int]
			for b.Loop() {
				f := lead(b, &g)
				var wg sync.WaitGroup
				for range readers {
					w := follow(b, &g)
					wg.Go(func() {
						defer w.Leave()
						r := w.Reader(background)
						defer r.Close()
						_, _ = r.WriteTo(io.Discard)
					})
				}
				f.Announce(1, 2<<20)
				for range 1 << 20 / chunk {
					write(b, f, piece)
				}
				f.End(Shared, nil)
				wg.Wait()
			}
		})
	}
}

func BenchmarkJoinEnd(b *testing.B) {
	var g Group[string, int]
	b.ReportAllocs()
	for b.Loop() {
		f, _, _ := g.Join("k", 0)
		f.End(Done, nil)
	}
}
