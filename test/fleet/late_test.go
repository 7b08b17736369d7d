package fleet

import (
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestLateHolderIsFenced stops the instance that holds a lease until another instance has filled.
// Then it lets the first one continue with its old response.
func TestLateHolderIsFenced(t *testing.T) {
	b := three(t, Setup{})
	q := Request{Path: "/late/holder"}
	came, open := make(chan struct{}, 16), make(chan struct{})
	b.origin.Hold(func(c Call) {
		if c.Instance == b.a.Name {
			came <- struct{}{}
			<-open
		}
	})
	release := sync.OnceFunc(func() { close(open) })
	t.Cleanup(release)
	late := make(chan Answer, 1)
	go func() { late <- b.a.Do(q) }()
	<-came
	b.a.Signal(syscall.SIGSTOP)
	t.Cleanup(func() { b.a.Signal(syscall.SIGCONT) })
	version := b.origin.Bump()
	took := current(t, b.b, q, version).Took
	release()
	b.a.Signal(syscall.SIGCONT)
	if x := <-late; x.Wrong(q) != nil || x.Version() != 1 {
		t.Fatalf("the late response: %v, %v", x.Wrong(q), x)
	}
	time.Sleep(100 * time.Millisecond) // in this time it could store its response, which it must not
	hit(t, b.c, q, version)
	hit(t, b.b, q, version)
	b.asked(t, q.Path, 2)
	t.Logf("the instance that took over answered in %v; the late one has version %d in its memory", took, b.a.Do(q).Version())
}

// TestPurgeWhileRedisIsAway purges on an instance that cannot tell the others. It reports this,
// purges its own responses, and tells the others later.
func TestPurgeWhileRedisIsAway(t *testing.T) {
	b := three(t, Setup{Tier: "timeout: 300ms", Routes: written})
	q, w := Request{Path: "/pages/1"}, Request{Path: "/users/1"}
	for _, i := range b.Fleet {
		sound(t, q, i.Do(q))
		sound(t, w, i.Do(w))
	}
	b.redis.Pause()
	version := b.origin.Bump()
	p := b.a.Purge(Purge{Tag: "kind:pages", Wait: "300ms"})
	if p.Err != nil || p.Status != http.StatusServiceUnavailable || p.Applied != 1 || p.Took > 3*time.Second {
		t.Errorf("status %d after %v, %v\n%s", p.Status, p.Took, p.Err, p.Text)
	}
	current(t, b.a, q, version)
	hit(t, b.b, q, 1)
	if x := b.a.Do(Request{Method: http.MethodPut, Path: w.Path}); x.Status != http.StatusNoContent || x.Took > 2*time.Second {
		t.Errorf("a write without Redis: %v", x)
	}
	current(t, b.a, w, version)
	b.redis.Resume()
	for _, i := range b.Fleet {
		eventually(t, i.Name+" has heard of the purge and the write", 10*time.Second, func() bool {
			return i.Do(q).Version() == version && i.Do(w).Version() == version
		})
	}
	t.Logf("the purge said after %v that it holds on one instance", p.Took)
}

// TestPrivateResponsesWaitForOneCall sends many requests for a response that cannot be shared. Each
// waits for at most one call before it makes its own.
func TestPrivateResponsesWaitForOneCall(t *testing.T) {
	const delay = 200 * time.Millisecond
	b := three(t, Setup{})
	b.origin.Delay(delay)
	q := Request{Path: "/private/page"}
	for round := range 2 {
		answers := Herd(3*20, func(n int) Answer { return b.Fleet[n%3].Do(q) })
		for _, a := range answers {
			sound(t, q, a)
		}
		times := Times(answers)
		t.Logf("round %d: %s", round, spread(times))
		if slowest := times[len(times)-1]; slowest > time.Duration(3-round)*delay+300*time.Millisecond {
			t.Errorf("round %d: the slowest took %v, a call takes %v", round, slowest, delay)
		}
	}
	b.asked(t, q.Path, 2*3*20)
}
