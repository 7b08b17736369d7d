package store

import (
	"context"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestBoundHolds checks the bound while objects are put, grow and are deleted, whether the window
// is unbounded, shrinks or has shrunk. After each call the counted bytes are at most the size, and
// equal the costs of the items, including those of registration. As long as the size has not been
// reached, no object is lost.
func TestBoundHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Now()
		m, err := NewMemory(MemoryConfig{Size: 256 << 10, Objects: 64, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		ctx, held, ample := context.Background(), make(map[uint64]bool), true
		number := rapid.Uint64Range(0, 400)
		put := func(n uint64, size int) {
			e := lightEntry(now)
			e.Representations[0].Body = NewBody([]byte(strings.Repeat("x", size)))
			if err := m.Put(ctx, lightKey(n), e, 0); err != nil {
				t.Fatal(err)
			}
			held[n] = true
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				put(number.Draw(t, "n"), rapid.SampledFrom([]int{0, 900, 3000, 20_000}).Draw(t, "size"))
			},
			"many": func(t *rapid.T) {
				for n, end := number.Draw(t, "from"), number.Draw(t, "to"); n < end; n++ {
					put(n, 500)
				}
			},
			"use": func(t *rapid.T) { _, _ = m.Get(ctx, lightKey(number.Draw(t, "n"))) },
			"delete": func(t *rapid.T) {
				for n, end := number.Draw(t, "from"), number.Draw(t, "to"); n < end; n++ {
					if err := m.Delete(ctx, lightKey(n)); err != nil {
						t.Fatal(err)
					}
					delete(held, n)
				}
			},
			"": func(t *rapid.T) {
				m.ledger.mu.Lock()
				used, sum, scarce := m.ledger.used(), m.counted(), m.ledger.bounded
				m.ledger.mu.Unlock()
				if used > m.ledger.size || used != sum {
					t.Fatalf("%d bytes of %d, the items cost %d", used, m.ledger.size, sum)
				}
				if ample = ample && !scarce; !ample {
					return
				}
				for n := range held {
					if _, err := m.Peek(ctx, lightKey(n)); err != nil {
						t.Fatalf("%d is lost while there is room", n)
					}
				}
			},
		})
	})
}

// counted returns the costs of the items, computed from their content and place. The caller holds
// the ledger's lock.
func (m *Memory) counted() (n int64) {
	for i := uint32(1); i < m.items.end(); i++ {
		it := m.items.at(i)
		if it.where == nowhere {
			continue
		}
		if j, ok := it.ref.large(); ok {
			n += m.large.at(j).Load().cost()
		} else {
			n += itemCost + int64(recordSize(m.chunks.from(it.ref)))
		}
		if it.where != inWindow {
			n += mainCost
		}
	}
	return n
}
