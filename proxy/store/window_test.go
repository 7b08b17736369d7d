package store

import (
	"context"
	"testing"
)

// TestRoomForAll checks that no object is lost and ristretto gets no object while all fit. Once
// they do not fit, the bound holds at every Put, and the window shrinks until both parts have their
// share. When most objects have been removed, the window is unbounded again.
func TestRoomForAll(t *testing.T) {
	const room = 5_000
	m := memoryFor(t, room)
	ctx, e := context.Background(), lightEntry(m.now())
	put := func(n uint64) Stats {
		t.Helper()
		if err := m.Put(ctx, lightKey(n), e, 0); err != nil {
			t.Fatal(err)
		}
		return m.Stats()
	}
	has := func(n uint64) bool {
		_, err := m.Get(ctx, lightKey(n))
		return err == nil
	}
	parts := func() (window, main int64) {
		m.ledger.mu.Lock()
		defer m.ledger.mu.Unlock()
		return m.ledger.window.used, m.ledger.main.used
	}
	full := uint64(room * 9 / 10)
	for n := range full {
		put(n)
	}
	for n := range full {
		if !has(n) {
			t.Fatalf("object %d is lost while there is room", n)
		}
	}
	if _, main := parts(); main != 0 {
		t.Errorf("%d bytes are registered, but no request needs them", main)
	}
	for n := full; n < 4*room; n++ {
		if s := put(n); s.Bytes > m.ledger.size+chunkSlack(m.ledger.size) {
			t.Fatalf("%d bytes of %d after %d objects", s.Bytes, m.ledger.size, n)
		}
		if !has(n) {
			t.Fatalf("object %d is lost at once", n)
		}
	}
	if window, main := parts(); window > m.ledger.windowMax() || main < m.ledger.mainMax()*9/10 || main > m.ledger.mainMax() {
		t.Errorf("%d bytes in the window of %d, %d in main of %d", window, m.ledger.windowMax(), main, m.ledger.mainMax())
	}
	for n := range uint64(4 * room) {
		if err := m.Delete(ctx, lightKey(n)); err != nil {
			t.Fatal(err)
		}
	}
	for n := range full {
		put(n)
	}
	if _, main := parts(); main != 0 {
		t.Errorf("%d bytes are registered after all was deleted", main)
	}
}

// TestRoomIsMadeAtOnce checks that one arrival inspects few objects if all stored objects were used
// recently.
func TestRoomIsMadeAtOnce(t *testing.T) {
	const room = 2_000
	m := memoryFor(t, room)
	ctx, e := context.Background(), lightEntry(m.now())
	for n := range uint64(4 * room) {
		if err := m.Put(ctx, lightKey(n), e, 0); err != nil {
			t.Fatal(err)
		}
	}
	for range maxUses {
		for n := range uint64(4 * room) {
			_, _ = m.Get(ctx, lightKey(n)) // some have been evicted
		}
	}
	used := func() (n int) {
		m.ledger.mu.Lock()
		defer m.ledger.mu.Unlock()
		for i := m.ledger.main.newest; i != 0; i = m.items.at(i).next {
			if m.items.at(i).touched.Load() == maxUses {
				n++
			}
		}
		return n
	}
	before := used()
	if before < room/2 {
		t.Fatalf("%d objects were used", before)
	}
	const puts = 20
	for n := range uint64(puts) {
		if err := m.Put(ctx, lightKey(4*room+n), e, 0); err != nil {
			t.Fatal(err)
		}
	}
	if lost := before - used(); lost > 2*puts*lookMost {
		t.Errorf("%d objects came, and %d uses of %d were gone through", puts, lost, before)
	}
}
