package store_test

import (
	"fmt"
	"testing"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/store/storetest"
)

func TestAll(t *testing.T) {
	m := open(t, store.MemoryConfig{Size: 16 << 20})
	const n = 1000
	for i := range n {
		if err := m.Put(t.Context(), storetest.Key(fmt.Sprint(i)), storetest.Entry("", "x"), 0); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[cachepolicy.Key]bool{}
	for o := range m.All {
		if seen[o.Key] {
			t.Fatal("an object comes twice")
		}
		seen[o.Key] = true
		if err := m.Delete(t.Context(), o.Key); err != nil { // would deadlock under a lock
			t.Fatal(err)
		}
	}
	if len(seen) != n {
		t.Errorf("%d objects of %d", len(seen), n)
	}
	for range m.All {
		t.Fatal("a deleted object")
	}
}

func TestAllEnds(t *testing.T) {
	m := open(t, store.MemoryConfig{Size: 16 << 20})
	for i := range 10 {
		if err := m.Put(t.Context(), storetest.Key(fmt.Sprint(i)), storetest.Entry("", "x"), 0); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for range m.All {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d objects", n)
	}
}

func TestPurged(t *testing.T) {
	m := open(t, store.MemoryConfig{Size: 16 << 20})
	put := func(key, vary string, born uint64) {
		e := storetest.Entry(vary, "x")
		e.Epoch = store.Epoch{Era: 1, Seq: born}
		if err := m.Put(t.Context(), storetest.Key(key), e, 0); err != nil {
			t.Fatal(err)
		}
	}
	put("old", "", 1)
	put("new", "", 2)
	put("both", "a", 1)
	put("both", "b", 2)
	put("soft", "", 1)
	put("other", "", 1)
	purge := func(soft bool, keys ...string) {
		p := store.Purge{Epoch: store.Epoch{Era: 1, Seq: 2}, Soft: soft, Targets: []store.Target{{Kind: store.TargetTag, Value: "x"}}}
		for _, k := range keys {
			p.Targets = append(p.Targets, store.ObjectTarget(storetest.Key(k), ""))
		}
		m.Purged(p)
	}
	purge(false, "old", "new", "both", "absent")
	purge(true, "soft")
	for key, want := range map[string]int{"old": 0, "new": 1, "both": 1, "soft": 1, "other": 1} {
		got := 0
		if o, err := m.Get(t.Context(), storetest.Key(key)); err == nil {
			got = len(o.Variants)
		}
		if got != want {
			t.Errorf("%s: %d variants are left, want %d", key, got, want)
		}
	}
}
