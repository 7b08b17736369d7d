package rate

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLimit(t *testing.T) {
	const s = int64(time.Second)
	l := Limit{Every: time.Second, Burst: 3}
	for _, c := range []struct {
		name      string
		idle, now int64
		next      int64
		ok        bool
		left      int
		wait      time.Duration
	}{
		{"a new client", 0, 100 * s, 101 * s, true, 3, 0},
		{"idle since now", 100 * s, 100 * s, 101 * s, true, 3, 0},
		{"one used", 101 * s, 100 * s, 102 * s, true, 2, 0},
		{"a part of one available again", 101*s + s/2, 100 * s, 102*s + s/2, true, 1, 0},
		{"the last one", 102 * s, 100 * s, 103 * s, true, 1, 0},
		{"nearly the last one", 102*s + 1, 100 * s, 102*s + 1, false, 0, 1},
		{"used up", 103 * s, 100 * s, 103 * s, false, 0, time.Second},
		{"half of the next one", 103 * s, 100*s + s/2, 103 * s, false, 0, time.Second / 2},
		{"beyond used up, the clock was put back", 5000 * s, 100 * s, 103 * s, false, 0, time.Second},
	} {
		next, ok := l.Take(c.idle, c.now)
		left, wait := l.Left(c.idle, c.now), l.Wait(c.idle, c.now)
		if next != c.next || ok != c.ok || left != c.left || wait != c.wait {
			t.Errorf("%s: stores %d, accepted %v, left %d, wait %v; want %d, %v, %d, %v", c.name, next, ok, left, wait, c.next, c.ok, c.left, c.wait)
		}
	}
}

// drawLimit draws limits from fast to slow.
func drawLimit(t *rapid.T) Limit {
	every := rapid.SampledFrom([]time.Duration{time.Microsecond, 7 * time.Millisecond, time.Second, 864 * time.Second}).Draw(t, "every")
	return Limit{Every: every, Burst: rapid.IntRange(1, 20).Draw(t, "burst")}
}

// TestNoWindowExceedsTheLimit compares the accepted requests of each window with the promise, for
// clocks that only advance.
func TestNoWindowExceedsTheLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLimit(t)
		var accepted []int64
		now, idle := int64(0), int64(0)
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			now += rapid.Int64Range(0, 3*int64(l.Every)).Draw(t, "pause")
			left, wait := l.Left(idle, now), l.Wait(idle, now)
			next, ok := l.Take(idle, now)
			if ok != (left > 0) || ok != (wait == 0) {
				t.Fatalf("accepted %v with %d left and %v to wait", ok, left, wait)
			}
			if _, then := l.Take(idle, now+int64(wait)); !then {
				t.Fatalf("refused after the wait of %v", wait)
			}
			if _, before := l.Take(idle, now+int64(wait)-1); wait > 0 && before {
				t.Fatalf("accepted before the wait of %v was over", wait)
			}
			if idle = next; ok {
				accepted = append(accepted, now)
			}
		}
		for i := range accepted {
			for j := i; j < len(accepted); j++ {
				if n, most := j-i+1, int64(l.Burst)+(accepted[j]-accepted[i])/int64(l.Every); int64(n) > most {
					t.Fatalf("%d accepted within %d ns, where %d are allowed", n, accepted[j]-accepted[i], most)
				}
			}
		}
	})
}

// TestClientBelowTheRateIsNeverRefused: pauses of at least Every are always enough.
func TestClientBelowTheRateIsNeverRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLimit(t)
		now, idle := int64(0), int64(0)
		for range 50 {
			now += rapid.Int64Range(int64(l.Every), 5*int64(l.Every)).Draw(t, "pause")
			next, ok := l.Take(idle, now)
			if !ok {
				t.Fatal("refused")
			}
			idle = next
		}
	})
}

// TestClockThatGoesBack: each step back takes at most the burst from a client, and gives at most one
// burst.
func TestClockThatGoesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLimit(t)
		now, idle := int64(1<<50), int64(0)
		forward, back, accepted := int64(0), 0, 0
		for range rapid.IntRange(1, 80).Draw(t, "requests") {
			if rapid.IntRange(0, 9).Draw(t, "step") == 0 {
				now -= rapid.Int64Range(1, int64(24*time.Hour)).Draw(t, "back")
				back++
				var ok bool
				if idle, ok = l.Take(idle, now); ok {
					accepted++
				}
				if wait := l.Wait(idle, now); wait > l.Every {
					t.Fatalf("%v to wait after a step back", wait)
				}
			}
			pause := rapid.Int64Range(0, 2*int64(l.Every)).Draw(t, "pause")
			now, forward = now+pause, forward+pause
			next, ok := l.Take(idle, now)
			if idle = next; ok {
				accepted++
			}
		}
		if most := int64(l.Burst)*int64(1+back) + forward/int64(l.Every); int64(accepted) > most {
			t.Fatalf("%d accepted, where %d are allowed", accepted, most)
		}
	})
}
