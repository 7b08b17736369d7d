package fleet

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/test/redistest"
)

// TestCutOff cuts one instance off from Redis, purges, and reconnects it.
//
// While it is cut off, the instance serves responses from its memory even if others have purged
// them, since it cannot know. For everything else it serves the origin's response. It must never
// serve a response from the shared tier that was stored before the purge. Once it reads that tier
// again, it must not serve purged responses from memory either.
func TestCutOff(t *testing.T) {
	redis, origin := redistest.Start(t), NewOrigin(t)
	proxy := redistest.StartProxy(t, redis.Addr)
	s := Setup{Origin: origin.URL, Redis: redis.URL(), Routes: shop, Tier: "timeout: 200ms"}
	a, c := gateway.Start(t, "a", s), gateway.Start(t, "c", s)
	s.Redis = proxy.URL()
	b := gateway.Start(t, "b", s)
	f := Fleet{a, b, c}
	f.Meet(t)

	many := size(400, 1500)
	known := func(n int) Request { return Request{Path: fmt.Sprintf("/users/known-%d", n%10)} } // in the memory of b
	dead := func(n int) Request { return Request{Path: fmt.Sprintf("/users/shared-%d", n)} }    // only in Redis, purged
	fresh := func(n int) Request { return Request{Path: fmt.Sprintf("/fresh/%d", n)} }          // only in Redis, not purged
	for n := range 10 {
		sound(t, known(n), a.Do(known(n)))
		hit(t, b, known(n), 1)
		hit(t, c, known(n), 1)
	}
	for n := range many {
		sound(t, dead(n), a.Do(dead(n)))
		sound(t, fresh(n), a.Do(fresh(n)))
	}
	hit(t, c, dead(many-1), 1)

	proxy.Refuse()
	cut := time.Now()
	version := origin.Bump()
	p := a.Purge(Purge{Tag: "kind:users", Wait: "200ms"})
	if p.Status != http.StatusAccepted || p.Instances != 3 || p.Applied != 2 || len(p.Missing) != 1 {
		t.Errorf("purge without b: status %d, %v\n%s", p.Status, p.Err, p.Text)
	}
	t.Logf("the purge, waited for 200ms: status %d, %d of %d instances, missing %v, after %v", p.Status, p.Applied, p.Instances, p.Missing, p.Took)
	for n := range 10 {
		current(t, a, known(n), version)
		current(t, c, known(n), version)
	}
	next := 0
	meanwhile := map[string]int{}
	for length := size(1500*time.Millisecond, 5*time.Second); time.Since(cut) < length; next++ {
		current(t, b, dead(next), version)
		x := b.Do(known(next))
		sound(t, known(next), x)
		meanwhile[fmt.Sprintf("version %d, hit %t", x.Version(), x.Hit())]++
		time.Sleep(10 * time.Millisecond)
	}
	own := Request{Path: "/users/filled-while-cut-off"}
	current(t, b, own, version)
	version = origin.Bump()
	if p := c.Purge(Purge{URL: "http://" + Host + own.Path, Wait: "50ms"}); p.Err != nil || p.Status > http.StatusAccepted {
		t.Errorf("the second purge: status %d\n%s", p.Status, p.Text)
	}
	t.Logf("while b was cut off it served from its memory: %v", meanwhile)

	proxy.Heal()
	healed := time.Now()
	var reads, caught time.Duration // when b used Redis again, and when all its responses were new
	for n := 0; caught == 0 || reads == 0; n++ {
		if next >= many || time.Since(healed) > 10*time.Second {
			t.Fatalf("b read Redis after %v, and had caught up after %v", reads, caught)
		}
		if x := b.Do(dead(next)); x.Wrong(dead(next)) != nil || x.Version() == 1 {
			t.Fatalf("b served a purged response of the shared tier: %v, %v", x.Wrong(dead(next)), x)
		}
		next++
		if reads == 0 && b.Do(fresh(next)).Hit() {
			reads = time.Since(healed)
		}
		if x, mine := b.Do(known(n)), b.Do(own); x.Version() > 1 && mine.Version() == version {
			caught = max(caught, time.Since(healed))
		} else if reads > 0 {
			t.Fatalf("b reads the shared tier and serves %v and %v from its memory", x, mine)
		}
		time.Sleep(2 * time.Millisecond)
	}
	for n := range 10 {
		if x := b.Do(known(n)); x.Wrong(known(n)) != nil || x.Version() == 1 {
			t.Errorf("%s: %v, %v", known(n).Path, x.Wrong(known(n)), x)
		}
	}
	t.Logf("b read Redis again %v after it could, and served nothing old %v after that", reads.Round(time.Millisecond), caught.Round(time.Millisecond))
	f.Meet(t)
}

// TestCutOffForLong cuts one instance off for longer than max_cut_off. Purges report it as missing
// until it asks the origin each time. Only then do they return 200 without it.
func TestCutOffForLong(t *testing.T) {
	redis, origin := redistest.Start(t), NewOrigin(t)
	proxy := redistest.StartProxy(t, redis.Addr)
	s := Setup{Origin: origin.URL, Redis: redis.URL(), Routes: shop, Tier: "timeout: 200ms, max_cut_off: 5s"}
	a := gateway.Start(t, "a", s)
	s.Redis = proxy.URL()
	b := gateway.Start(t, "b", s)
	f := Fleet{a, b}
	f.Meet(t)
	known := Request{Path: "/users/known"}
	current(t, a, known, 1)
	hit(t, b, known, 1)
	proxy.Refuse()
	version := origin.Bump()
	for named := 0; ; named++ {
		p := a.Purge(Purge{Tag: "kind:users", Wait: "100ms"})
		x := b.Do(known)
		sound(t, known, x)
		if p.Status == http.StatusOK {
			if x.Version() != version || x.Hit() {
				t.Errorf("a purge was answered 200, %d of %d instances, and b serves %v", p.Applied, p.Instances, x)
			}
			if named == 0 {
				t.Error("no purge named b")
			}
			break
		}
		if p.Status != http.StatusAccepted || len(p.Missing) != 1 {
			t.Fatalf("%d %s, %v", p.Status, p.Text, p.Err)
		}
	}
	redisIs(t, b, "degraded")
	for range 3 {
		version = origin.Bump()
		current(t, b, known, version) // b cannot hear of purges, so each response comes from the origin
	}
	version = sharedInDoubt(t, b, origin, known)
	proxy.Heal()
	redisIs(t, b, "up")
	f.Meet(t)
	current(t, b, known, version)
	hit(t, b, known, version)
	f.MustPurge(a, Purge{Tag: "kind:users"})
	current(t, b, known, origin.Bump())
}

// sharedInDoubt holds a call of b, which is cut off, and begins a version. Requests that come now may
// come after a purge that counts b as one that asks the origin. So they must not share the response
// to the held call. It returns the version.
func sharedInDoubt(t *testing.T, b *Instance, origin *Origin, q Request) (version int64) {
	t.Helper()
	const late = 3
	held, release := make(chan struct{}), make(chan struct{})
	var first sync.Once
	origin.Hold(func(Call) { first.Do(func() { close(held); <-release }) })
	defer origin.Hold(nil)
	var all sync.WaitGroup
	all.Go(func() { b.Do(q) })
	<-held
	version = origin.Bump()
	answers := make([]Answer, late)
	for n := range answers {
		all.Go(func() { answers[n] = b.Do(q) })
	}
	eventually(t, "the late requests wait", 10*time.Second, func() bool {
		resp, err := http.Get(b.Admin + "/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return strings.Contains(string(text), fmt.Sprintf("\npenstock_requests_waiting %d\n", late))
	})
	close(release)
	all.Wait()
	for _, a := range answers {
		sound(t, q, a)
		if a.Version() != version {
			t.Errorf("a request that came after version %d had begun got %v", version, a)
		}
	}
	return version
}
