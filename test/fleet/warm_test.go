package fleet

import (
	"fmt"
	"testing"
	"time"

	"github.com/penstock/penstock/test/redistest"
)

// TestWarmRestart starts an instance while Redis has responses and the origin is down.
func TestWarmRestart(t *testing.T) {
	redis, origin := redistest.Start(t), NewOrigin(t)
	s := Setup{Origin: origin.URL, Redis: redis.URL(), Tier: patient}
	a := gateway.Start(t, "a", s)
	Fleet{a}.Meet(t)
	var hot []Request
	for n := range 50 {
		hot = append(hot, Request{Path: fmt.Sprintf("/hot/%d", n)}, Request{Path: "/vary/hot", Language: fmt.Sprintf("x-%d", n%20)})
	}
	for _, q := range hot {
		sound(t, q, a.Do(q))
	}
	eventually(t, "all is in Redis", 5*time.Second, func() bool { return len((&bench{redis: redis, origin: origin}).objects()) >= 50 })
	origin.Close()
	calls := len(origin.Calls(""))
	b := gateway.Start(t, "b", s)
	for n, q := range hot {
		x := b.Do(q)
		if err := x.Wrong(q); err != nil || !x.Hit() {
			t.Fatalf("request %d after the start: %v, %v", n, err, x)
		}
	}
	if more := len(origin.Calls("")) - calls; more != 0 {
		t.Errorf("%d calls to an origin that is gone", more)
	}
}

// TestPreload starts an instance that preloads the most used responses. It serves them even if
// Redis stops before the first request.
func TestPreload(t *testing.T) {
	redis, origin := redistest.Start(t), NewOrigin(t)
	s := Setup{Origin: origin.URL, Redis: redis.URL(), Tier: "preload: 20, " + patient}
	a := gateway.Start(t, "a", s)
	Fleet{a}.Meet(t)
	hot := func(n int) Request { return Request{Path: fmt.Sprintf("/hot/%d", n)} }
	cold := func(n int) Request { return Request{Path: fmt.Sprintf("/cold/%d", n)} }
	for n := range 200 {
		sound(t, cold(n), a.Do(cold(n)))
	}
	for range 250 { // uses are counted by sampling
		for n := range 10 {
			sound(t, hot(n), a.Do(hot(n)))
		}
	}
	a.Signal(15) // when stopping, it publishes its most used keys if it has not done so
	if code := a.Exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	b := gateway.Start(t, "b", s)
	redis.Stop()
	calls := len(origin.Calls(""))
	for n := range 10 {
		hit(t, b, hot(n), 1)
	}
	if more := len(origin.Calls("")) - calls; more != 0 {
		t.Errorf("%d calls to the origin", more)
	}
	held := 0
	for n := range 200 {
		x := b.Do(cold(n))
		sound(t, cold(n), x)
		if x.Hit() {
			held++
		}
	}
	if held > 10 {
		t.Errorf("%d objects more than the 20 that it was to load", held-10)
	}
}
