// Package storetest checks that a store fulfils the contract of store.Store.
package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// Run tests the stores that open returns. Each is empty and is used by one test. The store's clock
// must show the current time, and the store must have room for a megabyte, so that nothing is
// evicted during a test.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"Miss", testMiss},
		{"RoundTrip", testRoundTrip},
		{"FullKeyIsCompared", testFullKey},
		{"NewestVariantFirst", testNewestFirst},
		{"SameVaryTakesThePlace", testSameVary},
		{"VariantsAreLimited", testLimit},
		{"OverVariantGivesItsPlace", testOver},
		{"Replace", testReplace},
		{"Delete", testDelete},
		{"ObjectsNeverChange", testImmutable},
		{"NoPutIsLost", testNoPutIsLost},
		{"OneReplaceWins", testOneReplaceWins},
		{"NothingOlderComesBack", testNothingOlder},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// Key returns the key with the given pre-image.
func Key(full string) cachepolicy.Key {
	sum := sha256.Sum256([]byte(full))
	k := cachepolicy.Key{Full: full}
	copy(k.Hash[:], sum[:])
	return k
}

// Entry returns a response that is fresh for an hour, selected by vary, with the given body.
func Entry(vary, body string) *store.Entry {
	now := time.Now().Truncate(time.Millisecond)
	return &store.Entry{
		Meta: cachepolicy.Meta{
			Status: 200, Born: now, Received: now, Date: now, Lifetime: time.Hour,
			ETag: `"` + body + `"`, Vary: cachepolicy.Vary(vary), Total: int64(len(body)),
		},
		Representations: []store.Representation{{
			Coding: compress.Identity,
			Head:   "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n",
			Body:   store.Body{Segments: [][]byte{[]byte(body)}, Size: int64(len(body))},
		}},
		Tags: []string{"a", "b"},
	}
}

func get(t *testing.T, s store.Store, k cachepolicy.Key) *store.Object {
	t.Helper()
	o, err := s.Get(t.Context(), k)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return o
}

func put(t *testing.T, s store.Store, k cachepolicy.Key, e *store.Entry) {
	t.Helper()
	if err := s.Put(t.Context(), k, e, 0); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

func wantMiss(t *testing.T, s store.Store, k cachepolicy.Key) {
	t.Helper()
	if o, err := s.Get(t.Context(), k); !errors.Is(err, store.ErrMiss) || o != nil {
		t.Fatalf("Get = %v, %v; want ErrMiss", o, err)
	}
}

// bodies returns the bodies of the variants, in order.
func bodies(o *store.Object) (list []string) {
	for _, e := range o.Variants {
		list = append(list, string(slices.Concat(e.Representations[0].Body.Segments...)))
	}
	return list
}

func wantBodies(t *testing.T, o *store.Object, want ...string) {
	t.Helper()
	if got := bodies(o); !slices.Equal(got, want) {
		t.Fatalf("variants %q, want %q", got, want)
	}
}

func testMiss(t *testing.T, s store.Store) {
	wantMiss(t, s, Key("absent"))
	if err := s.Delete(t.Context(), Key("absent")); err != nil {
		t.Errorf("Delete of an unknown key: %v", err)
	}
}

func testRoundTrip(t *testing.T, s store.Store) {
	k, e := Key("k"), Entry("v", "body")
	e.Spans = []cachepolicy.Span{{First: 2, Last: 5}}
	put(t, s, k, e)
	o := get(t, s, k)
	if o.Key != k {
		t.Errorf("key %q", o.Key.Full)
	}
	wantBodies(t, o, "body")
	g := o.Variants[0]
	if g.ETag != e.ETag || g.Vary != e.Vary || !g.Born.Equal(e.Born) || g.Lifetime != e.Lifetime ||
		!slices.Equal(g.Spans, e.Spans) || !slices.Equal(g.Tags, e.Tags) || g.Representations[0].Head != e.Representations[0].Head {
		t.Errorf("got %+v\nput %+v", &g.Meta, &e.Meta)
	}
}

// testFullKey uses two keys with equal hashes, as far as a store looks at them. A lookup of one
// must never return the other.
func testFullKey(t *testing.T, s store.Store) {
	a, b := Key("a"), Key("b")
	b.Hash = a.Hash
	put(t, s, a, Entry("", "of a"))
	wantMiss(t, s, b)
	if done, err := s.Replace(t.Context(), b, get(t, s, a).Variants[0], Entry("", "of b")); done || err != nil {
		t.Errorf("Replace under another key = %v, %v", done, err)
	}
	if err := s.Delete(t.Context(), b); err != nil {
		t.Error(err)
	}
	wantBodies(t, get(t, s, a), "of a")
	put(t, s, b, Entry("", "of b"))
	wantBodies(t, get(t, s, b), "of b")
	if o, err := s.Get(t.Context(), a); err == nil && o.Key != a {
		t.Error("Get returned another key's object")
	}
}

func testNewestFirst(t *testing.T, s store.Store) {
	k := Key("k")
	for _, v := range []string{"1", "2", "3"} {
		put(t, s, k, Entry(v, v))
	}
	wantBodies(t, get(t, s, k), "3", "2", "1")
}

func testSameVary(t *testing.T, s store.Store) {
	k := Key("k")
	put(t, s, k, Entry("1", "old"))
	put(t, s, k, Entry("2", "other"))
	put(t, s, k, Entry("1", "new"))
	wantBodies(t, get(t, s, k), "new", "other")
	if err := s.Put(t.Context(), k, Entry("2", "within the limit"), 2); err != nil {
		t.Errorf("Put of an existing variant at the limit: %v", err)
	}
}

func testLimit(t *testing.T, s store.Store) {
	k := Key("k")
	for _, v := range []string{"1", "2"} {
		if err := s.Put(t.Context(), k, Entry(v, v), 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(t.Context(), k, Entry("3", "3"), 2); err != nil {
		t.Fatalf("third variant of two: %v", err)
	}
	wantBodies(t, get(t, s, k), "3", "2")
}

func testOver(t *testing.T, s store.Store) {
	k := Key("k")
	aged := func(vary, body string, stale time.Duration) *store.Entry {
		e := Entry(vary, body)
		e.Born, e.Lifetime, e.StaleError = time.Now().Add(-time.Minute), time.Second, stale
		return e
	}
	put(t, s, k, aged("1", "over", 0))
	put(t, s, k, aged("2", "stale, of use", time.Hour))
	if err := s.Put(t.Context(), k, Entry("3", "new"), 2); err != nil {
		t.Fatalf("Put when an expired variant can be replaced: %v", err)
	}
	wantBodies(t, get(t, s, k), "new", "stale, of use")
	if err := s.Put(t.Context(), k, Entry("4", "one more"), 2); err != nil {
		t.Errorf("Put when no variant can be replaced: %v", err)
	}
	wantBodies(t, get(t, s, k), "one more", "new")
}

func testReplace(t *testing.T, s store.Store) {
	k := Key("k")
	replace := func(old, e *store.Entry, want bool) {
		t.Helper()
		if done, err := s.Replace(t.Context(), k, old, e); done != want || err != nil {
			t.Fatalf("Replace = %v, %v; want %v", done, err, want)
		}
	}
	replace(Entry("1", "never stored"), Entry("1", "x"), false)
	wantMiss(t, s, k)
	put(t, s, k, Entry("1", "one"))
	put(t, s, k, Entry("2", "two"))
	old := get(t, s, k).Variants[1]
	replace(old, Entry("1", "one, freshened"), true)
	wantBodies(t, get(t, s, k), "two", "one, freshened")
	replace(old, Entry("1", "by one who came too late"), false)
	wantBodies(t, get(t, s, k), "two", "one, freshened")
	old = get(t, s, k).Variants[0]
	if err := s.Delete(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	replace(old, Entry("2", "back from the dead"), false)
	wantMiss(t, s, k)
}

func testDelete(t *testing.T, s store.Store) {
	k, other := Key("k"), Key("other")
	put(t, s, k, Entry("1", "one"))
	put(t, s, other, Entry("1", "other"))
	if err := s.Delete(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	wantMiss(t, s, k)
	put(t, s, k, Entry("2", "two"))
	wantBodies(t, get(t, s, k), "two")
	wantBodies(t, get(t, s, other), "other")
}

func testImmutable(t *testing.T, s store.Store) {
	k := Key("k")
	put(t, s, k, Entry("1", "one"))
	before := get(t, s, k)
	put(t, s, k, Entry("2", "two"))
	put(t, s, k, Entry("1", "one again"))
	if _, err := s.Replace(t.Context(), k, get(t, s, k).Variants[1], Entry("2", "two again")); err != nil {
		t.Fatal(err)
	}
	wantBodies(t, before, "one")
}

const parallel = 8

func testNoPutIsLost(t *testing.T, s store.Store) {
	k := Key("k")
	var wg sync.WaitGroup
	for i := range parallel {
		wg.Go(func() {
			for j := range 5 {
				v := fmt.Sprintf("%d-%d", i, j)
				if err := s.Put(context.Background(), k, Entry(v, v), 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(get(t, s, k).Variants); n != 5*parallel {
		t.Errorf("%d variants of %d", n, 5*parallel)
	}
}

func testOneReplaceWins(t *testing.T, s store.Store) {
	k := Key("k")
	put(t, s, k, Entry("", "first"))
	for round := range 20 {
		old := get(t, s, k).Variants[0]
		var wins atomic.Int32
		var wg sync.WaitGroup
		for i := range parallel {
			wg.Go(func() {
				done, err := s.Replace(context.Background(), k, old, Entry("", fmt.Sprint(round, i)))
				if err != nil {
					t.Error(err)
				}
				if done {
					wins.Add(1)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Fatalf("%d of %d concurrent Replace calls on the same entry succeeded, want 1", wins.Load(), parallel)
		}
	}
}

// testNothingOlder checks that after a Delete only later Puts are found.
func testNothingOlder(t *testing.T, s store.Store) {
	k := Key("k")
	for round := range 50 {
		put(t, s, k, Entry("old", "old"))
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Delete(context.Background(), k); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := s.Put(context.Background(), k, Entry("new", "new"), 0); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		o, err := s.Get(t.Context(), k)
		if errors.Is(err, store.ErrMiss) {
			continue // Put, then Delete
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := bodies(o); !slices.Equal(got, []string{"new"}) {
			t.Fatalf("round %d: %q outlived a Delete", round, got)
		}
		if err := s.Delete(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
}
