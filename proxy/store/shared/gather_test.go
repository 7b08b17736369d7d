package shared

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/store/storetest"
	"github.com/penstock/penstock/test/redistest"
)

// TestGatherKeepsApart checks that each caller gets the reply to its own lookup.
func TestGatherKeepsApart(t *testing.T) {
	_, c := start(t)
	const keys, goroutines, rounds = 40, 4 * maxBatch, 20
	for i := range keys {
		if i%4 != 0 { // the others are misses
			mustPut(t, c, storetest.Key(fmt.Sprint(i)), storetest.Entry("", fmt.Sprint(i)))
		}
	}
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for r := range rounds {
				i := (g + r) % keys
				o, err := c.Get(t.Context(), storetest.Key(fmt.Sprint(i)), request())
				switch {
				case i%4 == 0:
					if !errors.Is(err, store.ErrMiss) {
						t.Errorf("%d: %v", i, err)
					}
				case err != nil:
					t.Errorf("%d: %v", i, err)
				case string(bodyOf(o.Variants[0])) != fmt.Sprint(i):
					t.Errorf("%d: %s", i, bodyOf(o.Variants[0]))
				}
			}
		})
	}
	wg.Wait()
}

// TestGatherSharesNoFate checks that a key of another type fails only its own lookup of the batch,
// and that a caller that leaves does not affect the others.
func TestGatherSharesNoFate(t *testing.T) {
	s, c := start(t)
	good, bad := storetest.Key("good"), storetest.Key("bad")
	mustPut(t, c, good, storetest.Entry("", "good"))
	var wg sync.WaitGroup
	for g := range 3 * maxBatch {
		wg.Go(func() {
			for range 10 {
				switch g % 3 {
				case 0:
					if _, err := c.Get(t.Context(), good, request()); err != nil {
						t.Error(err)
					}
				case 1:
					s.Must("SET", c.objectKey(bad), "x")
					if _, err := c.Get(t.Context(), bad, request()); !errors.Is(err, store.ErrMiss) {
						t.Error(err)
					}
				case 2:
					ctx, cancel := context.WithCancel(t.Context())
					go cancel()
					if _, err := c.Get(ctx, good, request()); err != nil && !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if h := c.Health(); h.State != Up || h.Err != nil {
		t.Errorf("health %+v", h)
	}
}

// TestGatherIsBounded checks that many callers that wait for a silent Redis all return in time.
func TestGatherIsBounded(t *testing.T) {
	s := redistest.Start(t)
	c := dial(t, s.URL())
	s.Pause()
	var wg sync.WaitGroup
	for range 10 * maxBatch {
		wg.Go(func() {
			if err := within(t, func() error { _, err := c.Get(t.Context(), storetest.Key("k"), request()); return err }); err == nil {
				t.Error("no error")
			}
		})
	}
	wg.Wait()
	await(t, c, Down)
	s.Resume()
	await(t, c, Up)
	wantMiss(t, c, storetest.Key("k"), request())
}
