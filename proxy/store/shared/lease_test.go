package shared

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/test/redistest"
)

// leases returns the Leases of an instance.
func leases(t *testing.T, url string) *Leases {
	t.Helper()
	l := NewLeases(dial(t, url))
	t.Cleanup(func() { _ = l.Close() })
	eventually(t, func() error { // messages may be lost until the channel is subscribed to
		n, err := l.c.rdb.PubSubNumSub(context.Background(), l.c.wakeChannel(l.c.instance)).Result()
		if err == nil && n[l.c.wakeChannel(l.c.instance)] == 0 {
			err = context.DeadlineExceeded
		}
		return err
	})
	return l
}

var leaseKey = cachepolicy.Key{Hash: [16]byte{1, 2, 3}, Full: "a"}

func TestLeaseIsHeldByOne(t *testing.T) {
	url := redistest.Start(t).URL()
	a, b := leases(t, url), leases(t, url)
	ctx := context.Background()
	lease, wait, err := a.Acquire(ctx, leaseKey, "f")
	if err != nil || lease == nil || wait != nil {
		t.Fatalf("the first: %v, %v, %v", lease, wait, err)
	}
	none, wait, err := b.Acquire(ctx, leaseKey, "f")
	if err != nil || none != nil || wait == nil {
		t.Fatalf("the second: %v, %v, %v", none, wait, err)
	}
	other, _, err := b.Acquire(ctx, leaseKey, "g")
	if err != nil || other == nil {
		t.Fatalf("another flight: %v, %v", other, err)
	}
	if err := other.Release(ctx, store.Failed); err != nil {
		t.Error(err)
	}
	if err := lease.Release(ctx, store.Filled); err != nil {
		t.Error(err)
	}
	begun := time.Now()
	if r := wait.For(ctx); r != store.Filled {
		t.Errorf("the second is told %d, want %d", r, store.Filled)
	}
	if d := time.Since(begun); d > leaseFor/2 {
		t.Errorf("was told after %v: by the clock, not by the holder", d)
	}
}

func TestLeaseOfDeadInstanceExpires(t *testing.T) {
	url := redistest.Start(t).URL()
	a, b := leases(t, url), leases(t, url)
	ctx := context.Background()
	lease, _, err := a.Acquire(ctx, leaseKey, "f")
	if err != nil {
		t.Fatal(err)
	}
	lease.cancel() // as if its process had died: the lease is neither renewed nor released
	_, wait, err := b.Acquire(ctx, leaseKey, "f")
	if err != nil {
		t.Fatal(err)
	}
	if r := wait.For(ctx); r != store.Vanished {
		t.Errorf("is told %d, want %d", r, store.Vanished)
	}
	var second *Lease
	eventually(t, func() error {
		second, _, err = b.Acquire(ctx, leaseKey, "f")
		if err == nil && second == nil {
			err = errHeld
		}
		return err
	})
	if second.Token() <= lease.Token() {
		t.Errorf("the later token %d is not above %d", second.Token(), lease.Token())
	}
	// The dead instance returns and believes that it still holds the lease.
	if err := lease.Release(ctx, store.Filled); err != nil {
		t.Error(err)
	}
	if _, wait, err := a.Acquire(ctx, leaseKey, "f"); err != nil || wait == nil {
		t.Errorf("a late holder has ended the lease of the one after it: %v", err)
	} else {
		wait.Leave()
	}
	if err := second.Release(ctx, store.Filled); err != nil {
		t.Error(err)
	}
}

// TestWaitingEndsWithRedis makes an instance wait for a lease while Redis is lost. It must not wait
// until the lease would have expired.
func TestWaitingEndsWithRedis(t *testing.T) {
	for name, lose := range map[string]func(*redistest.Server){
		"stopped": func(s *redistest.Server) { s.Stop() },
		"paused":  func(s *redistest.Server) { s.Pause() },
		"flushed": func(s *redistest.Server) { s.Must("FLUSHALL") },
		"evicted": func(s *redistest.Server) {
			for _, key := range s.Keys("penstock:{") {
				if strings.Contains(key, ":l:") {
					s.Must("DEL", key)
				}
			}
		},
		"restarted empty": func(s *redistest.Server) { s.Restart() },
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			a, b := leases(t, s.URL()), leases(t, s.URL())
			lease, _, err := a.Acquire(t.Context(), leaseKey, "f")
			if err != nil {
				t.Fatal(err)
			}
			_, wait, err := b.Acquire(t.Context(), leaseKey, "f")
			if err != nil || wait == nil {
				t.Fatalf("%v, %v", wait, err)
			}
			wait.expires = time.Hour
			lose(s)
			begun := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if r := wait.For(ctx); r != store.Vanished || ctx.Err() != nil {
				t.Errorf("is told %v after %v", r, time.Since(begun))
			}
			t.Logf("after %v", time.Since(begun).Round(time.Millisecond))
			if name == "paused" {
				s.Resume()
			}
			_ = lease.Release(t.Context(), store.Failed)
		})
	}
}

func TestLeaseIsRenewed(t *testing.T) {
	url := redistest.Start(t).URL()
	a, b := leases(t, url), leases(t, url)
	ctx := context.Background()
	lease, _, err := a.Acquire(ctx, leaseKey, "f")
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(leaseFor + leaseFor/4) // the clock is Redis's own
	_, wait, err := b.Acquire(ctx, leaseKey, "f")
	if err != nil || wait == nil {
		t.Fatalf("a lease in use ran out: %v", err)
	}
	wait.Leave()
	if err := lease.Release(ctx, store.Filled); err != nil {
		t.Error(err)
	}
}

// TestLeaseHerd makes many instances ask for one lease again and again: never do two hold it, and
// each gets it in the end.
func TestLeaseHerd(t *testing.T) {
	url := redistest.Start(t).URL()
	var holding, fills atomic.Int32
	var last atomic.Uint64
	var all sync.WaitGroup
	for range 4 {
		l := leases(t, url)
		all.Go(func() {
			for done := 0; done < 5; {
				lease, wait, err := l.Acquire(context.Background(), leaseKey, "f")
				switch {
				case err != nil:
					t.Error(err)
					return
				case wait != nil:
					wait.For(context.Background())
					continue
				}
				if holding.Add(1) != 1 {
					t.Error("two hold the lease")
				}
				if before := last.Swap(lease.Token()); before >= lease.Token() {
					t.Errorf("token %d after %d", lease.Token(), before)
				}
				fills.Add(1)
				done++
				holding.Add(-1)
				if err := lease.Release(context.Background(), store.Filled); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if fills.Load() != 20 {
		t.Errorf("%d fills", fills.Load())
	}
}

func TestLeaseWithoutRedis(t *testing.T) {
	s := redistest.Start(t)
	l := leases(t, s.URL())
	lease, _, err := l.Acquire(context.Background(), leaseKey, "f")
	if err != nil {
		t.Fatal(err)
	}
	s.Pause()
	if _, _, err := l.Acquire(context.Background(), leaseKey, "g"); err == nil {
		t.Error("a lease without Redis")
	}
	if err := within(t, func() error { return lease.Release(context.Background(), store.Filled) }); err == nil {
		t.Error("released without Redis")
	}
	s.Resume()
}

func TestLeaseInCluster(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	a, b := leases(t, cluster.URL()), NewLeases(dial(t, cluster.URL()))
	defer b.Close()
	for i := range byte(8) {
		k := cachepolicy.Key{Hash: [16]byte{i}, Full: string(rune('a' + i))}
		lease, _, err := a.Acquire(context.Background(), k, "f")
		if err != nil {
			t.Fatal(err)
		}
		_, wait, err := b.Acquire(context.Background(), k, "f")
		if err != nil || wait == nil {
			t.Fatalf("not held: %v", err)
		}
		wait.Leave()
		if err := lease.Release(context.Background(), store.Filled); err != nil {
			t.Error(err)
		}
	}
}

// TestFenceBetweenLeases checks that the tokens of Fence are greater than those of earlier leases
// and less than those of later ones.
func TestFenceBetweenLeases(t *testing.T) {
	_, c := start(t)
	l := NewLeases(c)
	defer l.Close()
	k := cachepolicy.KeyOf("fence")
	var last uint64
	for range 5 {
		lease, _, err := l.Acquire(t.Context(), k, "f")
		if err != nil || lease == nil || lease.Token() <= last {
			t.Fatalf("%v, %v after %d", lease, err, last)
		}
		if last, err = l.Fence(t.Context(), k); err != nil || last <= lease.Token() {
			t.Fatalf("%d after %d, %v", last, lease.Token(), err)
		}
		if err := lease.Release(t.Context(), store.Filled); err != nil {
			t.Fatal(err)
		}
	}
}
