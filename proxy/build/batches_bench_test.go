package build_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
)

// BenchmarkSingleReads is 10 000 reads of 200 items by 100 clients over sockets, each one after the
// other, of an upstream that takes 5 ms: the calls that it gets and what a read takes beyond them
// on average, with and without a batch, with and without a cache.
func BenchmarkSingleReads(b *testing.B) {
	const takes = 5 * time.Millisecond
	for _, cached := range []bool{false, true} {
		for _, origin := range []string{
			`{upstream: origin, rewrite: {path: "/items/{id}"}`,
			`{batch: {upstream: origin, path: "/items?ids={ids}", window: 2ms, max: 100, items: data}`,
		} {
			b.Run(fmt.Sprintf("cache=%v/%s", cached, origin[1:6]), func(b *testing.B) {
				o := NewOrigin(b, func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(takes)
					if id, ok := strings.CutPrefix(r.URL.Path, "/items/"); ok {
						w.Header().Set("Cache-Control", "max-age=60")
						fmt.Fprintf(w, `{"id":%s,"price":%s.50}`, id, id)
						return
					}
					shop(w, r)
				})
				var took, reads atomic.Int64
				calls := 0
				for b.Loop() {
					b.StopTimer()
					g := Start(b, fmt.Sprintf("cache: {memory: {size: 64MiB, max_object: 1MiB}}\nupstreams:\n  origin: {targets: [%s]}\nroutes:\n- %s, name: items, match: {path: \"/api/items/{id}\"}, cache: {enabled: %v}}\n", o.URL, origin, cached))
					before := o.Calls()
					b.StartTimer()
					var all sync.WaitGroup
					for client := range 100 {
						all.Go(func() {
							for i := range 100 {
								begun := time.Now()
								g.Get(fmt.Sprintf("/api/items/%d", (client*37+i*11)%200+100))
								took.Add(int64(time.Since(begun)))
								reads.Add(1)
							}
						})
					}
					all.Wait()
					calls += o.Calls() - before
				}
				b.ReportMetric(float64(calls)/float64(reads.Load())*10_000, "calls/10k")
				b.ReportMetric((float64(took.Load())/float64(reads.Load())-float64(takes))/1e6, "added-ms")
			})
		}
	}
}
