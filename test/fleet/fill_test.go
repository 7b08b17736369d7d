package fleet

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/test/redistest"
)

func TestFilledByOneHitByAll(t *testing.T) {
	b := three(t, Setup{})
	for n := range 20 {
		q := Request{Path: fmt.Sprintf("/pages/%d", n)}
		first := b.Fleet[n%3].Do(q)
		sound(t, q, first)
		if first.Hit() {
			t.Fatalf("the first answer is a hit: %v", first)
		}
		// At once: the filling instance announces the response when others can read it.
		hit(t, b.Fleet[(n+1)%3], q, 1)
		hit(t, b.Fleet[(n+2)%3], q, 1)
		hit(t, b.Fleet[n%3], q, 1)
		b.asked(t, q.Path, 1)
	}
}

func TestVariantsAreShared(t *testing.T) {
	b := three(t, Setup{})
	for _, language := range []string{"en", "de", "fr"} {
		q := Request{Path: "/vary/page", Language: language}
		sound(t, q, b.a.Do(q))
		hit(t, b.b, q, 1)
		hit(t, b.c, q, 1)
	}
	b.asked(t, "/vary/page", 3)
}

func TestLargeObjectsAreShared(t *testing.T) {
	b := three(t, Setup{Tier: "compress: false, timeout: 500ms"})
	for _, bytes := range []int{100_000, 300_000, 1_000_000} {
		q := Request{Path: fmt.Sprintf("/size/%d", bytes)}
		sound(t, q, b.a.Do(q))
		hit(t, b.b, q, 1)
		a := b.c.Do(q)
		if len(a.Body) != bytes || a.Body != b.a.Do(q).Body {
			t.Errorf("%d bytes instead of %d", len(a.Body), bytes)
		}
		b.asked(t, q.Path, 1)
	}
}

// TestHerd sends requests of many clients to all instances, for a response that none has stored.
func TestHerd(t *testing.T) {
	b := three(t, Setup{})
	b.origin.Delay(size(300*time.Millisecond, time.Second))
	each := size(200, 1000)
	for round := range size(2, 5) {
		q := Request{Path: fmt.Sprintf("/herd/%d", round)}
		answers := Herd(3*each, func(n int) Answer { return b.Fleet[n%3].Do(q) })
		for _, a := range answers {
			sound(t, q, a)
			if a.Body != answers[0].Body {
				t.Fatalf("%q and %q", a.Body, answers[0].Body)
			}
		}
		b.asked(t, q.Path, 1)
		times := Times(answers)
		t.Logf("%d clients: 1 upstream request, median %v, slowest %v", 3*each, Quantile(times, 0.5), times[len(times)-1])
	}
}

// TestHerdOnWhatHasExpired sends requests of many clients to all instances, for a stale response
// that all have stored.
func TestHerdOnWhatHasExpired(t *testing.T) {
	// On a busy machine the call may take so long that the clients would get the stale response.
	b := three(t, Setup{Routes: `
- {name: short, match: {path: "/short/*"}, cache: {stale_if_error: 0s}}
`})
	each := size(100, 1000)
	q := Request{Path: "/short/page"}
	for _, i := range b.Fleet {
		sound(t, q, i.Do(q))
	}
	b.asked(t, q.Path, 1)
	time.Sleep(1200 * time.Millisecond)
	b.origin.Delay(300 * time.Millisecond)
	version := b.origin.Bump()
	for _, a := range Herd(3*each, func(n int) Answer { return b.Fleet[n%3].Do(q) }) {
		if sound(t, q, a); a.Version() != version {
			t.Fatalf("stale: %v", a)
		}
	}
	b.asked(t, q.Path, 2)
}

// TestTiers uses the tiers that a route names, and purges all of them.
func TestTiers(t *testing.T) {
	b := three(t, Setup{Routes: `
- {name: near, match: {path: "/near/*"}, cache: {tiers: [memory]}}
- {name: far, match: {path: "/far/*"}, cache: {tiers: [redis]}}
`})
	for path, calls := range map[string]int{"/near/1": 3, "/far/1": 1} {
		q := Request{Path: path}
		for _, purge := range []Purge{{}, {URL: "http://" + Host + path}, {Tag: "part:1"}, {All: true}} {
			before, version := len(b.origin.Calls(path)), b.origin.Bump()
			if purge != (Purge{}) {
				b.MustPurge(b.c, purge)
			}
			for _, i := range b.Fleet {
				current(t, i, q, version)
			}
			for _, i := range b.Fleet {
				hit(t, i, q, version)
			}
			b.asked(t, path, before+calls)
		}
	}
	b.redis.Stop()
	hit(t, b.a, Request{Path: "/near/1"}, b.a.Get("/near/1").Version())
	sound(t, Request{Path: "/far/1"}, b.a.Get("/far/1"))
	if a := b.a.Get("/far/1"); a.Hit() {
		t.Errorf("a response kept only in Redis is a hit without Redis: %v", a)
	}
}

// TestHolderDies kills the instance that makes the origin call while all others wait for it.
func TestHolderDies(t *testing.T) {
	const bound = 6 * time.Second // the time of a lease, of a call, and of delays on a busy machine
	b := three(t, Setup{})
	each := size(50, 300)
	q := Request{Path: "/holder/dies"}
	came, dead := make(chan string, 16), make(chan struct{})
	t.Cleanup(sync.OnceFunc(func() { b.origin.Hold(nil) }))
	b.origin.Hold(func(c Call) {
		came <- c.Instance
		select {
		case <-dead:
		case <-time.After(20 * time.Second):
		}
	})
	var holder string
	done := make(chan struct{})
	go func() {
		defer close(done)
		holder = <-came
		time.Sleep(300 * time.Millisecond) // the others wait by then
		for _, i := range b.Fleet {
			if i.Name == holder {
				i.Signal(syscall.SIGKILL)
			}
		}
		close(dead)
	}()
	answers := Herd(3*each, func(n int) Answer { return b.Fleet[n%3].Do(q) })
	<-done
	slowest := time.Duration(0)
	for n, a := range answers {
		if b.Fleet[n%3].Name == holder {
			continue
		}
		sound(t, q, a)
		slowest = max(slowest, a.Took)
	}
	for _, i := range b.Fleet {
		if i.Name == holder {
			i.Wait()
		}
	}
	if calls := b.origin.Calls(q.Path); len(calls) > 2 || slowest > bound {
		t.Errorf("after the end of %s the slowest answer took %v, and the origin was asked by %v", holder, slowest, calls)
	}
	t.Logf("%d clients of the two others were answered; the slowest in %v", 2*each, slowest)
}

// TestPurgedFillIsNotStored purges during a fill. The fill's response is not stored.
func TestPurgedFillIsNotStored(t *testing.T) {
	for _, soft := range []bool{false, true} {
		t.Run(fmt.Sprintf("soft=%t", soft), func(t *testing.T) {
			b := three(t, Setup{})
			q := Request{Path: "/slow/page"}
			came, open := make(chan struct{}, 16), make(chan struct{})
			b.origin.Hold(func(Call) {
				came <- struct{}{}
				<-open
			})
			t.Cleanup(sync.OnceFunc(func() { b.origin.Hold(nil) }))
			old := make(chan Answer, 1)
			go func() { old <- b.a.Do(q) }()
			<-came
			b.origin.Hold(nil)
			version := b.origin.Bump()
			b.MustPurge(b.b, Purge{URL: "http://" + Host + q.Path, Soft: soft})
			close(open)
			sound(t, q, <-old)
			for _, i := range []*Instance{b.a, b.b, b.c, b.a} {
				current(t, i, q, version)
			}
			for _, i := range b.Fleet {
				hit(t, i, q, version)
			}
		})
	}
}

// TestRedisDiesWhileOthersWait stops Redis while one instance fills and clients of the others wait
// for it. The others fill for themselves, and no client is lost. The log shows how soon; the tests
// of proxy/store/shared check that it does not take the time of a lease.
func TestRedisDiesWhileOthersWait(t *testing.T) {
	for name, end := range map[string]func(*redistest.Server){"stopped": (*redistest.Server).Stop, "paused": (*redistest.Server).Pause} {
		t.Run(name, func(t *testing.T) {
			b := three(t, Setup{Tier: "timeout: 25ms"})
			q := Request{Path: "/redis/dies"}
			came, answer := make(chan struct{}, 16), make(chan struct{})
			var once sync.Once
			t.Cleanup(func() { once.Do(func() { close(answer) }); b.origin.Hold(nil) })
			b.origin.Hold(func(Call) {
				came <- struct{}{}
				<-answer
			})
			var answers []Answer
			done := make(chan struct{})
			go func() {
				defer close(done)
				answers = Herd(60, func(n int) Answer { return b.Fleet[n%3].Do(q) })
			}()
			<-came                             // the call of the filling instance
			time.Sleep(300 * time.Millisecond) // the others wait by then
			end(b.redis)
			died := time.Now()
			for range 2 {
				select {
				case <-came:
				case <-time.After(20 * time.Second):
					t.Fatal("an instance still waits")
				}
			}
			took := time.Since(died)
			once.Do(func() { close(answer) })
			<-done
			for _, a := range answers {
				sound(t, q, a)
			}
			t.Logf("both waiting instances asked the origin %v after Redis was %s", took.Round(time.Millisecond), name)
			if name == "paused" {
				b.redis.Resume()
			}
		})
	}
}
