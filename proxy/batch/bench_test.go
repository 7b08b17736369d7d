package batch

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkReads measures 10 000 reads of 200 ids by 100 clients. The upstream takes 2 ms for any
// number of ids. It reports the number of calls and the average delay of a read beyond 2 ms, with
// and without batching.
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

// BenchmarkAlone measures a read without others to share a call with.
func BenchmarkAlone(b *testing.B) {
	l := loader(b, &upstream{})
	b.ReportAllocs()
	for b.Loop() {
		read(context.Background(), l, "7")
	}
}
