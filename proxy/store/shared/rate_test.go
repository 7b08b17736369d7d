package shared

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/test/redistest"
)

// TestRateIsShared: two instances that ask at the same time together get exactly the burst, and
// another client has its own.
func TestRateIsShared(t *testing.T) {
	s := redistest.Start(t)
	a, b := steady(t, s.URL()), steady(t, s.URL())
	var accepted atomic.Int64
	var wg sync.WaitGroup
	for _, c := range []*Client{a, b, a, b} {
		wg.Go(func() {
			for range 30 {
				ok, wait, err := c.TakeRate(t.Context(), "one", time.Hour, 50)
				switch {
				case err != nil:
					t.Error(err)
				case ok:
					accepted.Add(1)
				case wait > time.Hour || wait < 50*time.Minute:
					t.Errorf("refused for %v", wait)
				}
			}
		})
	}
	wg.Wait()
	if accepted.Load() != 50 {
		t.Errorf("%d requests accepted", accepted.Load())
	}
	if ok, _, err := a.TakeRate(t.Context(), "other", time.Hour, 1); !ok || err != nil {
		t.Errorf("another client: %v, %v", ok, err)
	}
}

// TestRefusedRateIsAcceptedAfterTheWait: the wait that Redis tells is enough.
func TestRefusedRateIsAcceptedAfterTheWait(t *testing.T) {
	c := steady(t, redistest.Start(t).URL())
	refused := 0
	for range 200 {
		ok, wait, err := c.TakeRate(t.Context(), "client", 20*time.Millisecond, 2)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			continue
		}
		if refused++; wait <= 0 || wait > 20*time.Millisecond {
			t.Fatalf("refused for %v", wait)
		}
		time.Sleep(wait)
		if ok, wait, err = c.TakeRate(t.Context(), "client", 20*time.Millisecond, 2); !ok || err != nil {
			t.Fatalf("refused again for %v, %v", wait, err)
		}
		if refused == 5 {
			return
		}
	}
	t.Error("hardly a request was refused")
}

// TestRateExpires: Redis keeps the state of a client for as long as it says something.
func TestRateExpires(t *testing.T) {
	s := redistest.Start(t)
	c := steady(t, s.URL())
	for range 3 {
		if _, _, err := c.TakeRate(t.Context(), "client", time.Minute, 10); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := c.rdb.Keys(t.Context(), "*:rate").Result()
	if err != nil || len(keys) != 1 || keys[0] != "penstock:{client}:rate" {
		t.Fatalf("%q, %v", keys, err)
	}
	if ttl := c.rdb.PTTL(t.Context(), keys[0]).Val(); ttl > 3*time.Minute+time.Second || ttl < 2*time.Minute {
		t.Errorf("expires in %v", ttl)
	}
}

// TestRateAfterTheClockWentBack: a stored time in the far future costs a client no more than its
// burst.
func TestRateAfterTheClockWentBack(t *testing.T) {
	c := steady(t, redistest.Start(t).URL())
	if err := c.rdb.Set(t.Context(), "penstock:{client}:rate", "900000000000000.0000", 0).Err(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ok, wait, err := c.TakeRate(t.Context(), "client", time.Hour, 5)
		if ok || err != nil || wait > time.Hour {
			t.Errorf("accepted %v, %v to wait, %v", ok, wait, err)
		}
	}
	if ttl := c.rdb.PTTL(t.Context(), "penstock:{client}:rate").Val(); ttl <= 0 || ttl > 5*time.Hour+time.Second {
		t.Errorf("expires in %v", ttl)
	}
}

// TestRateWithoutAnAnswer: a Redis that does not answer, or holds a foreign value, is an error after
// a bounded time.
func TestRateWithoutAnAnswer(t *testing.T) {
	s := redistest.Start(t)
	c := dial(t, s.URL())
	if err := c.rdb.LPush(t.Context(), "penstock:{client}:rate", "x").Err(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.TakeRate(t.Context(), "client", time.Second, 5); err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("a foreign value: %v", err)
	}
	s.Pause()
	eventually(t, func() error {
		if _, _, err := c.TakeRate(t.Context(), "other", time.Second, 5); !errors.Is(err, ErrOpen) {
			return fmt.Errorf("Redis is not skipped yet: %w", err)
		}
		return nil
	})
	s.Resume()
	await(t, c, Up)
	eventually(t, func() error { _, _, err := c.TakeRate(t.Context(), "other", time.Second, 5); return err })
}
