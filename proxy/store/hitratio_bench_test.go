package store

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/penstock/penstock/cachepolicy"
)

// lightBody is the shared body of light entries.
var lightBody = bytes.Repeat([]byte("x"), 1000)

// lightEntry costs the same for every key, so that a store's size is a number of objects.
func lightEntry(born time.Time) *Entry {
	e := &Entry{Meta: cachepolicy.Meta{Status: 200, Born: born, Lifetime: time.Hour}}
	e.Representations = []Representation{{Body: NewBody(lightBody)}}
	return e
}

func lightKey(n uint64) cachepolicy.Key {
	h := scatter(n)
	return cachepolicy.Key{Hash: h, Full: string(h[:])}
}

// costIn returns the cost of o in a store of the given size.
func costIn(size int64, o *Object) int64 {
	var m Memory
	m.chunks.init(size)
	m.large.init(4)
	_, cost := m.write(&shard{}, o)
	return cost
}

// sizeFor returns the size of a store with room for the given number of objects like o, of which as
// many are registered as in the long run.
func sizeFor(objects int64, o *Object) int64 {
	size := int64(minSize)
	for range 32 {
		size = max(minSize, objects*(costIn(size, o)+mainCost*(100-windowShare)/100)+reserve(MemoryConfig{Size: size, Objects: objects}))
	}
	return size
}

// memoryFor returns a store with room for the given number of light objects.
func memoryFor(t testing.TB, capacity int) *Memory {
	t.Helper()
	now := time.Now()
	o := &Object{Key: lightKey(0), Variants: []*Entry{lightEntry(now)}}
	m, err := NewMemory(MemoryConfig{Size: sizeFor(int64(capacity), o), Objects: int64(capacity), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// memoryAsk uses m as a cache does: it puts missing objects.
func memoryAsk(m *Memory) func(uint64) bool {
	e := lightEntry(m.now())
	return func(n uint64) bool {
		k := lightKey(n)
		if _, err := m.Get(context.Background(), k); err == nil {
			return true
		}
		_ = m.Put(context.Background(), k, e, 0)
		return false
	}
}

func otterAsk(capacity int) func(uint64) bool {
	c := otter.Must(&otter.Options[uint64, struct{}]{MaximumSize: capacity, Executor: func(f func()) { f() }})
	return func(n uint64) bool {
		if _, ok := c.GetIfPresent(n); ok {
			return true
		}
		c.Set(n, struct{}{})
		return false
	}
}

// hitRatio returns the share of hits in percent.
func hitRatio(w workload, requests int, ask func(uint64) bool) float64 {
	hits := 0
	for range requests {
		if ask(w()) {
			hits++
		}
	}
	return 100 * float64(hits) / float64(requests)
}

type scenario struct {
	name string
	of   func(objects uint64, requests int) workload
}

var scenarios = []scenario{
	{"zipf", func(objects uint64, _ int) workload { return zipf(1, objects) }},
	{"scan", func(objects uint64, _ int) workload { return scanned(1, objects) }},
	{"shift", func(objects uint64, requests int) workload { return shifting(1, objects, requests) }},
}

// BenchmarkHitRatio runs the given number of requests (-benchtime 6000000x) and reports the hit ratios in percent.
func BenchmarkHitRatio(b *testing.B) {
	for _, s := range scenarios {
		for _, capacity := range []int{2_000, 20_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", s.name, capacity), func(b *testing.B) {
				m := memoryFor(b, capacity)
				b.ResetTimer()
				b.ReportMetric(hitRatio(s.of(universe, b.N), b.N, memoryAsk(m)), "memory-%")
				b.StopTimer()
				b.ReportMetric(hitRatio(s.of(universe, b.N), b.N, newPlainLRU(capacity).ask), "lru-%")
				b.ReportMetric(hitRatio(s.of(universe, b.N), b.N, otterAsk(capacity)), "otter-%")
			})
		}
	}
}

// TestHitRatioIsNotBelowLRU runs the benchmark at a twentieth of the size: no hit ratio may be
// below that of plain LRU, except for chance. Ristretto samples uses, and the number of samples
// depends on the load of the machine. So a low run is repeated, and the mean counts.
func TestHitRatioIsNotBelowLRU(t *testing.T) {
	const scale, attempts = 20, 4
	requests, chance := 120_000, 0.3
	if underRace {
		requests, chance = 30_000, 1.5
	}
	for _, s := range scenarios {
		for _, capacity := range []int{2_000 / scale, 20_000 / scale, 100_000 / scale} {
			t.Run(fmt.Sprintf("%s/%d", s.name, capacity), func(t *testing.T) {
				lru := hitRatio(s.of(universe/scale, requests), requests, newPlainLRU(capacity).ask)
				mean := 0.0
				for n := range attempts {
					got := hitRatio(s.of(universe/scale, requests), requests, memoryAsk(memoryFor(t, capacity)))
					t.Logf("memory %.2f %%, LRU %.2f %%", got, lru)
					if mean += (got - mean) / float64(n+1); mean >= lru-chance {
						return
					}
				}
				t.Errorf("memory %.2f %% in the mean, LRU %.2f %%", mean, lru)
			})
		}
	}
}
