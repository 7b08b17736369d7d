package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, c store.MemoryConfig) *store.Memory {
	t.Helper()
	m, err := store.NewMemory(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func TestMemoryIsAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, store.MemoryConfig{Size: 16 << 20}) })
}

func TestMemoryConfigIsChecked(t *testing.T) {
	for _, size := range []int64{-1, 0, 1000} {
		if m, err := store.NewMemory(store.MemoryConfig{Size: size}); err == nil {
			_ = m.Close()
			t.Errorf("a memory of %d bytes", size)
		}
	}
}

func TestMemoryTooLarge(t *testing.T) {
	m := open(t, store.MemoryConfig{Size: 1 << 20, MaxObject: 10_000})
	ctx, k := t.Context(), storetest.Key("k")
	if err := m.Put(ctx, k, storetest.Entry("", strings.Repeat("x", 10_000)), 0); err != nil {
		t.Errorf("a body of the largest size: %v", err)
	}
	large := storetest.Entry("", strings.Repeat("x", 10_001))
	if err := m.Put(ctx, k, large, 0); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a body above it: %v", err)
	}
	o, _ := m.Get(ctx, k)
	if _, err := m.Replace(ctx, k, o.Variants[0], large); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Replace with a body above it: %v", err)
	}
	head := storetest.Entry("", "x")
	head.Representations[0].Head = strings.Repeat("X-A: b\r\n", 1<<20/8)
	if err := m.Put(ctx, k, head, 0); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a head as large as the store: %v", err)
	}
}

// TestMemoryVariantsAreBoundedInBytes checks that one object can't fill the store with variants:
// the oldest are removed.
func TestMemoryVariantsAreBoundedInBytes(t *testing.T) {
	m := open(t, store.MemoryConfig{Size: 1 << 20})
	k := storetest.Key("k")
	for i := range 100 {
		if err := m.Put(t.Context(), k, storetest.Entry(fmt.Sprint(i), strings.Repeat("x", 20_000)), 0); err != nil {
			t.Fatal(err)
		}
	}
	o, err := m.Get(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(o.Variants); n < 5 || n > 13 || o.Variants[0].Vary != "99" {
		t.Errorf("%d variants of 20 kB in 1 MiB, the first %q", n, o.Variants[0].Vary)
	}
}

func TestMemoryClosed(t *testing.T) {
	m := open(t, store.MemoryConfig{Size: 1 << 20})
	k, e := storetest.Key("k"), storetest.Entry("", "x")
	if err := m.Put(t.Context(), k, e, 0); err != nil {
		t.Fatal(err)
	}
	_, _ = m.Close(), m.Close()
	_, get := m.Get(t.Context(), k)
	_, replace := m.Replace(t.Context(), k, e, e)
	for _, err := range []error{get, replace, m.Put(t.Context(), k, e, 0), m.Delete(t.Context(), k)} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	if s := m.Stats(); s.Objects != 0 || s.Bytes != 0 {
		t.Errorf("after Close: %+v", s)
	}
}

// TestMemoryCloseUnderTraffic checks that no call reaches ristretto after its end, which would
// panic, whenever Close comes.
func TestMemoryCloseUnderTraffic(t *testing.T) {
	for range 20 {
		m := open(t, store.MemoryConfig{Size: 256 << 10})
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					k := storetest.Key(fmt.Sprint(g, i%500))
					if _, err := m.Get(context.Background(), k); errors.Is(err, store.ErrClosed) {
						return
					}
					_ = m.Put(context.Background(), k, storetest.Entry("", "x"), 0)
					if i%7 == 0 {
						_ = m.Delete(context.Background(), k)
					}
				}
			})
		}
		time.Sleep(5 * time.Millisecond)
		_ = m.Close()
		wg.Wait()
	}
}

func TestMemoryCounts(t *testing.T) {
	m := open(t, store.MemoryConfig{Size: 256 << 10})
	for i := range 2000 {
		k := storetest.Key(fmt.Sprint(i))
		// Peek is not counted.
		for _, ask := range []func(context.Context, cachepolicy.Key) (*store.Object, error){m.Get, m.Peek} {
			if _, err := ask(t.Context(), k); !errors.Is(err, store.ErrMiss) {
				t.Fatal(err)
			}
		}
		if err := m.Put(t.Context(), k, storetest.Entry("", "x"), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Get(t.Context(), k); err != nil {
			t.Fatalf("Get right after Put: %v", err)
		}
	}
	s := m.Stats()
	if s.Hits != 2000 || s.Misses != 2000 || s.Objects == 0 || s.Objects+s.Rejected+s.Evicted != 2000 {
		t.Errorf("%+v", s)
	}
	if s.Bytes > 256<<10 || s.Bytes < 200<<10 {
		t.Errorf("%d bytes of %d", s.Bytes, 256<<10)
	}
}

// TestMemoryBoundHoldsWhenObjectsGrow checks the bound at every moment, although updates that grow
// bypass ristretto's eviction. Objects on their way from the window to the main store count too:
// about one for each putting goroutine.
func TestMemoryBoundHoldsWhenObjectsGrow(t *testing.T) {
	const (
		writers = 4
		largest = 3 * (16 << 10) // three variants, with their overhead
	)
	for _, test := range []struct {
		name       string
		size, keys int64
		over       int64 // largest excess over size at any moment
	}{
		{"small", 2 << 20, 300, writers * largest},
		{"large beside its objects", 16 << 20, 3000, (16 << 20) / 50},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := open(t, store.MemoryConfig{Size: test.size})
			var wg sync.WaitGroup
			for g := range writers {
				wg.Go(func() {
					rnd := rand.New(rand.NewPCG(uint64(g), 0))
					for i := range 1500 {
						k := storetest.Key(fmt.Sprint(rnd.Int64N(test.keys)))
						body := strings.Repeat("x", 100+i*10)
						if err := m.Put(context.Background(), k, storetest.Entry(fmt.Sprint(rnd.IntN(3)), body), 0); err != nil {
							t.Error(err)
						}
						if used := m.Stats().Bytes; used > test.size+test.over {
							t.Errorf("%d bytes of %d", used, test.size)
							return
						}
					}
				})
			}
			wg.Wait()
			if used := m.Stats().Bytes; used < test.size/10*8 {
				t.Errorf("%d bytes of %d: the bound was not put to the test", used, test.size)
			}
		})
	}
}

func TestMemoryRemovesExpiredObjects(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	m := open(t, store.MemoryConfig{Size: 1 << 20, Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}})
	for i := range 300 {
		e := storetest.Entry("", "x")
		e.Lifetime, e.ETag = time.Minute, ""
		if i%3 == 0 {
			e.StaleError = 24 * time.Hour
		}
		if err := m.Put(t.Context(), storetest.Key(fmt.Sprint(i)), e, 0); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	now = now.Add(time.Hour)
	mu.Unlock()
	right := func() (n int) {
		for i := range 300 {
			_, err := m.Get(t.Context(), storetest.Key(fmt.Sprint(i)))
			if ownCopy := err == nil; ownCopy == (i%3 == 0) {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(10 * time.Second); right() != 300 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if s := m.Stats(); right() != 300 || s.Objects != 100 || s.Expired != 200 {
		t.Errorf("%d of 300 are as they should be; %+v", right(), s)
	}
}

// model is a store without limits. A Memory may lack any of its objects, but must not hold a
// different one.
type model struct {
	m    *store.Memory
	held map[string][]*store.Entry
	seq  uint64
}

// same reports whether a and b are one stored response. Each put response has its own Seq.
func same(a, b *store.Entry) bool {
	return store.Stamp(a) == store.Stamp(b) && slices.EqualFunc(a.Representations, b.Representations, func(r, s store.Representation) bool {
		return r.Body.Size == s.Body.Size && bytes.Equal(slices.Concat(r.Body.Segments...), slices.Concat(s.Body.Segments...))
	})
}

func indexOf(list []*store.Entry, e *store.Entry) int {
	return slices.IndexFunc(list, func(v *store.Entry) bool { return same(v, e) })
}

// modelSize is the size of the store that is compared with a model, and modelWhole the maximum size
// of one object.
const (
	modelSize  = 128 << 10
	modelWhole = modelSize / 8
)

// hold stores list under k, without the oldest variants that exceed the limit of one object.
func (d *model) hold(k cachepolicy.Key, list []*store.Entry) {
	size := int64(0)
	for i, e := range list {
		if size += e.Representations[0].Body.Size; size > modelWhole {
			list = list[:i]
			break
		}
	}
	d.held[k.Full] = list
}

func (d *model) key(t *rapid.T) cachepolicy.Key {
	k := storetest.Key(fmt.Sprint(rapid.IntRange(0, 40).Draw(t, "key")))
	if rapid.IntRange(0, 9).Draw(t, "collide") == 0 {
		k.Hash = storetest.Key("0").Hash
		k.Full += " in disguise"
	}
	return k
}

func (d *model) entry(t *rapid.T) *store.Entry {
	size := rapid.SampledFrom([]int{0, 1, 1000, 6000}).Draw(t, "size")
	e := storetest.Entry(rapid.StringMatching("[a-c]").Draw(t, "vary"), strings.Repeat("x", size))
	d.seq++
	e.Seq = d.seq
	return e
}

func (d *model) put(t *rapid.T) {
	k, e := d.key(t), d.entry(t)
	limit := rapid.IntRange(0, 3).Draw(t, "limit")
	d.observe(t, k)
	err := d.m.Put(context.Background(), k, e, limit)
	rest := slices.DeleteFunc(slices.Clone(d.held[k.Full]), func(v *store.Entry) bool { return v.Vary == e.Vary })
	taken := len(rest) < len(d.held[k.Full])
	if err != nil && !errors.Is(err, store.ErrTooLarge) {
		t.Fatalf("Put beside %d with limit %d: %v", len(rest), limit, err)
	}
	// No variant was chosen, so the ones stored first are evicted.
	if limit > 0 && len(rest) >= limit && !taken {
		rest = rest[:limit-1]
	}
	if err == nil {
		d.hold(k, append([]*store.Entry{e}, rest...))
	}
	if d.observe(t, k) == nil && err == nil {
		t.Fatal("missing right after Put")
	}
}

func (d *model) replace(t *rapid.T) {
	k, e := d.key(t), d.entry(t)
	old := storetest.Entry("a", "never stored")
	if o := d.observe(t, k); o != nil && rapid.Bool().Draw(t, "stored") {
		old = o.Variants[rapid.IntRange(0, len(o.Variants)-1).Draw(t, "variant")]
	}
	done, err := d.m.Replace(context.Background(), k, old, e)
	if i := indexOf(d.held[k.Full], old); err != nil || done != (i >= 0) {
		t.Fatalf("Replace = %v, %v", done, err)
	} else if done {
		next := slices.Clone(d.held[k.Full])
		next[i] = e
		d.hold(k, slices.DeleteFunc(next, func(v *store.Entry) bool { return v != e && v.Vary == e.Vary }))
	}
	d.observe(t, k)
}

func (d *model) remove(t *rapid.T) {
	k := d.key(t)
	if err := d.m.Delete(context.Background(), k); err != nil {
		t.Fatal(err)
	}
	delete(d.held, k.Full)
	if d.observe(t, k) != nil {
		t.Fatal("found right after Delete")
	}
}

// observe compares a lookup with the model, and records evictions.
func (d *model) observe(t *rapid.T, k cachepolicy.Key) *store.Object {
	o, err := d.m.Get(context.Background(), k)
	if errors.Is(err, store.ErrMiss) {
		delete(d.held, k.Full)
		return nil
	}
	if err != nil || o.Key != k || !slices.EqualFunc(o.Variants, d.held[k.Full], same) {
		t.Fatalf("Get: %v, %d variants for %d", err, len(o.Variants), len(d.held[k.Full]))
	}
	return o
}

func TestMemoryAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := store.NewMemory(store.MemoryConfig{Size: modelSize})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		d := &model{m: m, held: make(map[string][]*store.Entry)}
		t.Repeat(map[string]func(*rapid.T){
			"put":     d.put,
			"replace": d.replace,
			"delete":  d.remove,
			"get":     func(t *rapid.T) { d.observe(t, d.key(t)) },
			"": func(t *rapid.T) {
				if s := m.Stats(); s.Bytes > modelSize || s.Objects > 42 {
					t.Fatalf("%+v", s)
				}
			},
		})
	})
}
