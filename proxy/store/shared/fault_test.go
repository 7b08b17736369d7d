package shared

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/store/storetest"
	"github.com/penstock/penstock/test/redistest"
)

// TestCutReplies checks that a reply that is cut anywhere is an error: neither a miss, nor damage
// that would be removed, and never a wrong result.
func TestCutReplies(t *testing.T) {
	s := redistest.Start(t)
	p := redistest.StartProxy(t, s.Addr)
	c := steady(t, p.URL())
	k, e := storetest.Key("k"), storetest.Entry("", "body")
	mustPut(t, c, k, e)
	const reply = 350 // approximate length of the reply
	for n := int64(1); n < reply; n += 7 {
		for _, cut := range []func(int64){p.CloseAfter, p.ResetAfter} {
			mustGet(t, c, k, request()) // opens a connection
			cut(n)
			o, err := c.Get(t.Context(), k, request())
			p.Heal()
			c.breaker.close(time.Now())
			c.breaker.score.Store(0)
			switch {
			case err == nil && !sameBody(o.Variants[0], e):
				t.Fatalf("cut after %d bytes: %q", n, bodyOf(o.Variants[0]))
			case errors.Is(err, store.ErrMiss):
				t.Fatalf("cut after %d bytes: a miss", n)
			case err == nil && n < 100:
				t.Fatalf("cut after %d bytes: an answer", n)
			}
		}
	}
	mustGet(t, c, k, request())
}

func TestTierWithSickRedis(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*redistest.Server, *redistest.Proxy)
		reads bool // true if stored objects can still be read
	}{
		{"paused", func(s *redistest.Server, _ *redistest.Proxy) { s.Pause() }, false},
		{"stopped", func(s *redistest.Server, _ *redistest.Proxy) { s.Stop() }, false},
		{"slow", func(_ *redistest.Server, p *redistest.Proxy) { p.Delay(2 * time.Second) }, false},
		{"reset in a reply", func(_ *redistest.Server, p *redistest.Proxy) { p.ResetAfter(300 << 10) }, false},
		{"loading", func(_ *redistest.Server, p *redistest.Proxy) { p.Replace([]byte("-LOADING it is\r\n")) }, false},
		{"moved", func(_ *redistest.Server, p *redistest.Proxy) { p.Replace([]byte("-MOVED 1 127.0.0.1:1\r\n")) }, false},
		{"another reply's shape", func(_ *redistest.Server, p *redistest.Proxy) { p.Replace([]byte("*1\r\n:1\r\n")) }, false},
		{"read only", func(s *redistest.Server, _ *redistest.Proxy) { s.Must("REPLICAOF", "127.0.0.1", "1") }, true},
		{"out of memory", func(s *redistest.Server, _ *redistest.Proxy) { s.Must("CONFIG", "SET", "maxmemory", "1mb") }, true},
	} {
		t.Run(test.name, func(t *testing.T) { // not parallel, because the durations of calls are checked
			s := redistest.Start(t, "--maxmemory-policy", "noeviction")
			p := redistest.StartProxy(t, s.Addr)
			connect := dial
			if test.reads { // Redis answers at once, but no reply may be missed because the machine is busy
				connect = steady
			}
			c := connect(t, p.URL())
			k, e := storetest.Key("k"), storetest.Entry("", "")
			e.Representations[0].Body = store.NewBody(randomBytes(600 << 10))
			filler := steady(t, s.URL())
			mustPut(t, filler, k, e)
			mustPut(t, filler, storetest.Key("other"), e)
			test.spoil(s, p)
			for range 2 * openAt / failureWeight {
				err := within(t, func() error {
					o, err := c.Get(t.Context(), k, request())
					if err == nil && !sameBody(o.Variants[0], e) {
						t.Error("a wrong answer")
					}
					return err
				})
				if err == nil != (test.reads && c.Health().State == Up) && !errors.Is(err, ErrOpen) && test.name != "reset in a reply" {
					t.Errorf("Get: %v", err)
				}
				if err := within(t, func() error { return c.Put(t.Context(), storetest.Key("new"), e, 0) }); err == nil {
					t.Error("Put: no error")
				}
			}
			if err := c.Put(t.Context(), k, e, 0); !errors.Is(err, ErrOpen) {
				t.Errorf("the breaker is not open: %v", err)
			}
			if err := c.Delete(t.Context(), k); !errors.Is(err, ErrOpen) {
				t.Errorf("the breaker is not open: %v", err)
			}
		})
	}
}

// TestTierAfterRestart checks that the tier continues after a server has lost its scripts or all
// its data.
func TestTierAfterRestart(t *testing.T) {
	s, c := start(t)
	k, e := storetest.Key("k"), storetest.Entry("", "body")
	mustPut(t, c, k, e)
	s.Must("SCRIPT", "FLUSH")
	mustPut(t, c, k, e)
	s.Restart()
	eventually(t, func() error {
		if _, err := c.Get(t.Context(), k, request()); !errors.Is(err, store.ErrMiss) {
			return errors.Join(errors.New("no miss"), err)
		}
		return nil
	})
	mustPut(t, c, k, e)
	if !bytes.Equal(bodyOf(mustGet(t, c, k, request())), []byte("body")) {
		t.Error("another body")
	}
}

// TestEviction checks that an object outlives neither its segments nor its index if Redis evicts.
func TestEviction(t *testing.T) {
	s := redistest.Start(t, "--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru")
	c := steady(t, s.URL())
	hits, misses := 0, 0
	for i := range 16 {
		e := storetest.Entry("", "")
		e.Representations[0].Body = store.NewBody(randomBytes(500<<10 + i))
		if err := c.Put(t.Context(), storetest.Key(string(rune('a'+i))), e, 0); err != nil && !errors.Is(err, store.ErrTooLarge) {
			t.Fatal(err)
		}
		for j := range i + 1 {
			o, err := c.Get(t.Context(), storetest.Key(string(rune('a'+j))), request())
			switch {
			case errors.Is(err, store.ErrMiss):
				misses++
			case err != nil:
				t.Fatal(err)
			case o.Variants[0].Representations[0].Body.Size != int64(500<<10+j):
				t.Fatalf("object %d has the body of another", j)
			default:
				hits++
			}
		}
	}
	if hits == 0 || misses == 0 {
		t.Errorf("%d hits, %d misses: nothing was evicted, or all", hits, misses)
	}
}
