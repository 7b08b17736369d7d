package store

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// TestCostEqualsHeapGrowth checks that the store counts as many bytes as the heap grows by,
// since Size would be meaningless otherwise. The bodies have realistic sizes.
func TestCostEqualsHeapGrowth(t *testing.T) {
	for _, body := range []int{0, 500, 8000} {
		const objects = 20_000
		cost := func() int64 {
			o := &Object{Key: heavyKey(0), Variants: []*Entry{heavyEntry(0, body)}}
			return o.cost()
		}()
		before := heapInUse()
		m, err := NewMemory(MemoryConfig{Size: objects * cost, Objects: objects})
		if err != nil {
			t.Fatal(err)
		}
		for i := range objects {
			if err := m.Put(context.Background(), heavyKey(i), heavyEntry(i, body), 0); err != nil {
				t.Fatal(err)
			}
		}
		grown, counted := heapInUse()-before, m.Stats().Bytes
		t.Logf("body %d: counted %d, heap %d: %.2f; %d objects", body, counted, grown, float64(grown)/float64(counted), m.Stats().Objects)
		if ratio := float64(grown) / float64(counted); ratio < 0.7 || ratio > 1.15 {
			t.Errorf("body %d: counted %d bytes, the heap grew by %d", body, counted, grown)
		}
		_ = m.Close()
	}
}

func heavyKey(i int) cachepolicy.Key {
	return cachepolicy.Key{Hash: scatter(uint64(i)), Full: fmt.Sprintf("%0100d", i)}
}

func heavyEntry(i, body int) *Entry {
	e := lightEntry(time.Now())
	e.ETag = fmt.Sprintf("%020d", i)
	e.Representations = []Representation{{
		Head: strings.Repeat("X", 300),
		Body: NewBody(bytes.Repeat([]byte("x"), body)),
	}}
	return e
}
