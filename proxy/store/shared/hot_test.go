package shared

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/store/storetest"
)

func TestHotKeysAreTheOnesUsedMost(t *testing.T) {
	_, c := start(t)
	a, b := NewHot(c, 3), NewHot(c, 3)
	var keys []cachepolicy.Key
	for i := range 6 {
		keys = append(keys, cachepolicy.KeyOf(fmt.Sprint("key ", i)))
	}
	for i, k := range keys {
		a.Used(k, 1+i)
		b.Used(k, 10*i)
	}
	for _, h := range []*Hot{a, b} {
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := a.Hottest(context.Background())
	if err != nil || len(got) != 3 {
		t.Fatalf("%v, %v", got, err)
	}
	for i, want := range []cachepolicy.Key{keys[5], keys[4], keys[3]} {
		if got[i] != want {
			t.Errorf("place %d has %q, want %q", i, got[i].Full, want.Full)
		}
	}
}

func TestHotObjectsAreLoaded(t *testing.T) {
	s, c := start(t)
	h := NewHot(c, 10)
	here, gone := storetest.Key("here"), storetest.Key("gone")
	if err := c.Put(context.Background(), here, storetest.Entry("", "body"), 4); err != nil {
		t.Fatal(err)
	}
	h.Used(gone, 9)
	h.Used(here, 4)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	var loaded []string
	n, err := h.Load(context.Background(), func(o *store.Object) { loaded = append(loaded, o.Key.Full) })
	if err != nil || n != 1 || len(loaded) != 1 || loaded[0] != here.Full {
		t.Errorf("loaded %q, %d, %v", loaded, n, err)
	}
	s.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := h.Load(ctx, func(*store.Object) {}); err == nil || errors.Is(err, store.ErrMiss) {
		t.Errorf("without Redis: %v", err)
	}
}
