package listen

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheLongestIdleGoesFirst(t *testing.T) {
	now := time.Now()
	since := func(ago time.Duration) *conn {
		c := new(conn)
		c.idle.Store(now.Add(-ago).UnixNano())
		return c
	}
	busy := new(conn)
	busy.active.Store(now.UnixNano())
	old, older, oldest := since(time.Second), since(time.Minute), since(time.Hour)
	listed := longestIdle(map[*conn]struct{}{old: {}, busy: {}, oldest: {}, older: {}}, now)
	want := []*conn{oldest, older, old}
	if len(listed) != len(want) {
		t.Fatalf("%d are idle, want %d", len(listed), len(want))
	}
	for i, c := range want {
		if listed[i].conn != c {
			t.Errorf("place %d goes to a connection that has been idle since %d", i, listed[i].since)
		}
	}
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		g := &gate{max: 1}
		ctx, stop := context.WithCancel(t.Context())
		var mu sync.Mutex
		inside := 0
		var busy []*conn // with a request in flight, so never closed for another
		for range 4 {
			wg.Go(func() {
				if c := new(conn); g.enter(c, ctx.Done()) {
					mu.Lock()
					defer mu.Unlock()
					inside++
					busy = append(busy, c)
				}
			})
		}
		leave := func() {
			mu.Lock()
			c := busy[0]
			busy = busy[1:]
			mu.Unlock()
			g.leave(c)
		}
		expect := func(want int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if inside != want {
				t.Errorf("%d connections admitted, want %d", inside, want)
			}
		}
		expect(1)
		g.resize(3)
		expect(3)
		leave()
		expect(4)
		g.resize(1)
		wg.Go(func() {
			if g.enter(new(conn), ctx.Done()) {
				t.Error("a connection was admitted beyond the limit")
			}
		})
		leave()
		synctest.Wait()
		stop()
		wg.Wait()
	})
}
