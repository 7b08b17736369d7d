package batch

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkReads is 10 000 reads of 200 ids by 100 clients, of an upstream that takes 2 ms and answers as many at a time as it is asked for: its
// calls, and what a read takes longer than that on average, with and without the batch.
func BenchmarkReads(b *testing.B) {
	for _, most := range []int{1, 100} {
		b.Run(fmt.Sprintf("max=%d", most), func(b *testing.B) {
			var took, reads atomic.Int64
			u := &upstream{takes: 2 * time.Millisecond}
			for b.Loop() {
				l := loader(b, u, func(c *Config) { c.Max = most })
				var all sync.WaitGroup
				for client := range 100 {
					all.Go(func() {
						for i := range 100 {
							begun := time.Now()
							read(context.Background(), l, fmt.Sprint((client*37+i*11)%200))
							took.Add(int64(time.Since(begun)))
							reads.Add(1)
						}
					})
				}
				all.Wait()
			}
			b.ReportMetric(float64(len(u.calls()))/float64(reads.Load())*10_000, "calls/10k")
			b.ReportMetric(float64(took.Load())/float64(reads.Load())/1e6-2, "added-ms")
		})
	}
}

// BenchmarkAlone is a read that has nobody to share with.
func BenchmarkAlone(b *testing.B) {
	l := loader(b, &upstream{})
	b.ReportAllocs()
	for b.Loop() {
		read(context.Background(), l, "7")
	}
}
