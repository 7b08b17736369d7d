package store

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

const benchObjects = 10_000

func filled(b testing.TB) *Memory {
	m := memoryFor(b, 2*benchObjects)
	for i := range benchObjects {
		if err := m.Put(context.Background(), lightKey(uint64(i)), lightEntry(time.Now()), 0); err != nil {
			b.Fatal(err)
		}
	}
	return m
}

func BenchmarkMemoryGet(b *testing.B) {
	m := filled(b)
	keys := make([]cachepolicy.Key, 1024)
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range keys {
		keys[i] = lightKey(rnd.Uint64N(benchObjects))
	}
	b.Run("spread", func(b *testing.B) { getParallel(b, m, keys) })
	b.Run("one", func(b *testing.B) { getParallel(b, m, keys[:1]) })
}

func getParallel(b *testing.B, m *Memory, keys []cachepolicy.Key) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ctx := context.Background()
		for i := 0; pb.Next(); {
			if _, err := m.Get(ctx, keys[i%len(keys)]); err != nil {
				b.Error(err)
			}
			i++
		}
	})
}

func BenchmarkMemoryPut(b *testing.B) {
	m := memoryFor(b, benchObjects)
	e := lightEntry(time.Now())
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		n++
		if err := m.Put(context.Background(), lightKey(n), e, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func TestGetOfAHitAllocatesNothing(t *testing.T) {
	m := filled(t)
	k := lightKey(1)
	if n := testing.AllocsPerRun(10_000, func() {
		if _, err := m.Get(context.Background(), k); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
