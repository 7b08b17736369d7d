package fleet

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// shop lists routes that different purges select.
const shop = `
- {name: users, match: {path: "/users/{id}"}, cache: {tags: {from: ["user:{id}"]}}}
- {name: pages, match: {path: "/pages/*"}}
- {name: one, match: {host: one.test, path: "/*"}}
- {name: two, match: {host: two.test, path: "/*"}}
`

// purgeCase is a purge with the responses that it must remove and those that it must keep.
type purgeCase struct {
	name     string
	purge    Purge
	hits     []Request
	bystands []Request
}

func purgeCases() []purgeCase {
	paths := func(paths ...string) (list []Request) {
		for _, p := range paths {
			list = append(list, Request{Path: p})
		}
		return list
	}
	return []purgeCase{
		{"url", Purge{URL: "http://fleet.test/users/1"}, paths("/users/1"), paths("/users/2", "/users/11", "/users/1?x=1")},
		{"url with a query", Purge{URL: "http://fleet.test/list?page=2"}, paths("/list?page=2"), paths("/list?page=3", "/list")},
		{
			"url with variants", Purge{URL: "http://fleet.test/vary/x"},
			[]Request{{Path: "/vary/x", Language: "en"}, {Path: "/vary/x", Language: "de"}, {Path: "/vary/x"}}, []Request{{Path: "/vary/y", Language: "en"}},
		},
		{"prefix", Purge{Prefix: "/pages/a/"}, paths("/pages/a/1", "/pages/a/b/2"), paths("/pages/b/1", "/users/3")},
		{
			"prefix of a host", Purge{Prefix: "one.test/docs/"},
			[]Request{{Host: "one.test", Path: "/docs/1"}}, []Request{{Host: "two.test", Path: "/docs/1"}, {Host: "one.test", Path: "/doc"}},
		},
		{"tag of the response", Purge{Tag: "part:77"}, paths("/pages/77", "/other/77"), paths("/pages/777", "/pages/7")},
		{"tag of the route", Purge{Tag: "user:5"}, paths("/users/5"), paths("/users/6", "/pages/5")},
		{"host", Purge{Host: "one.test"}, []Request{{Host: "one.test", Path: "/a"}, {Host: "one.test", Path: "/b"}}, []Request{{Host: "two.test", Path: "/a"}, {Path: "/a"}}},
		{"route", Purge{Route: "pages"}, paths("/pages/z", "/pages/y/x"), paths("/users/9", "/z")},
		{"all", Purge{All: true}, append(paths("/last/1", "/users/last", "/pages/last"), Request{Host: "two.test", Path: "/last"}), nil},
	}
}

// TestPurgeOfEachKind purges on one instance and sends requests to the others once the purge is
// acknowledged.
func TestPurgeOfEachKind(t *testing.T) {
	b := three(t, Setup{Routes: shop})
	for n, c := range purgeCases() {
		t.Run(c.name, func(t *testing.T) {
			by := b.Fleet[n%3]
			before := b.warm(t, c)
			version := b.origin.Bump()
			calls := len(b.origin.Calls(""))
			b.MustPurge(by, c.purge)
			for _, q := range c.hits {
				for _, i := range b.Fleet {
					current(t, i, q, version)
				}
			}
			if more := len(b.origin.Calls("")) - calls; more != len(c.hits) {
				t.Errorf("the origin was asked %d times for %d purged responses", more, len(c.hits))
			}
			for _, q := range c.bystands {
				for _, i := range b.Fleet {
					hit(t, i, q, before)
				}
			}
		})
	}
}

// TestSoftPurgeOfEachKind does the same with soft purges: a purged response is served once more,
// marked as stale, while it is revalidated.
func TestSoftPurgeOfEachKind(t *testing.T) {
	b := three(t, Setup{Routes: shop, Cache: "stale_while_revalidate: 1h"})
	for n, c := range purgeCases() {
		t.Run(c.name, func(t *testing.T) {
			by := b.Fleet[n%3]
			c.purge.Soft = true
			before := b.warm(t, c)
			version := b.origin.Bump()
			calls := len(b.origin.Calls(""))
			b.MustPurge(by, c.purge)
			for _, q := range c.hits {
				for _, i := range b.Fleet {
					if a := i.Do(q); a.Wrong(q) != nil || !a.Hit() || a.Version() == before && a.TTL() >= 0 {
						t.Fatalf("%s of %s after a soft purge: %v", q.Path, i.Name, a)
					}
				}
				for _, i := range b.Fleet {
					eventually(t, i.Name+" has the new version of "+q.Path, 5*time.Second, func() bool { return i.Do(q).Version() == version })
				}
			}
			if more := len(b.origin.Calls("")) - calls; more != len(c.hits) {
				t.Errorf("the origin was asked %d times for %d purged responses", more, len(c.hits))
			}
			for _, q := range c.bystands {
				for _, i := range b.Fleet {
					hit(t, i, q, before)
				}
			}
		})
	}
}

// warm puts all responses of a case into the memory of all instances, and returns their version.
func (b *bench) warm(t *testing.T, c purgeCase) int64 {
	t.Helper()
	version := b.origin.Version()
	for _, q := range slices.Concat(c.hits, c.bystands) {
		for _, i := range b.Fleet {
			if a := i.Do(q); a.Version() != version {
				b.MustPurge(b.a, Purge{All: true}) // removes the responses of an earlier case
				return b.warm(t, c)
			}
		}
		for _, i := range b.Fleet {
			hit(t, i, q, version)
		}
	}
	return version
}

func TestDryRunPurgesNothing(t *testing.T) {
	b := three(t, Setup{Routes: shop})
	for _, c := range purgeCases() {
		b.MustPurge(b.a, Purge{All: true})
		before := b.warm(t, c)
		c.purge.DryRun = true
		a := b.a.Purge(c.purge)
		if a.Status != http.StatusOK || a.Err != nil || a.Responses != len(c.hits) {
			t.Errorf("%s: status %d, %v; it would purge %d responses, want %d\n%s", c.name, a.Status, a.Err, a.Responses, len(c.hits), a.Text)
		}
		for _, q := range c.hits {
			for _, i := range b.Fleet {
				hit(t, i, q, before)
			}
		}
	}
}

// TestAcknowledgement measures the time until the last instance has applied a purge.
func TestAcknowledgement(t *testing.T) {
	b := three(t, Setup{Routes: shop})
	const purges = 200
	var said, seen []time.Duration
	for n := range purges {
		q := Request{Path: fmt.Sprintf("/users/%d", n)}
		sound(t, q, b.a.Do(q))
		hit(t, b.b, q, b.origin.Version())
		version := b.origin.Bump()
		p := []Purge{{URL: "http://" + Host + q.Path}, {Tag: fmt.Sprintf("user:%d", n)}, {Prefix: q.Path}, {Route: "users"}, {Host: Host}, {All: true}}[n%6]
		a := b.MustPurge(b.Fleet[n%3], p)
		said, seen = append(said, time.Duration(a.TookMS*float64(time.Millisecond))), append(seen, a.Took)
		current(t, b.b, q, version)
		current(t, b.c, q, version)
	}
	slices.Sort(said)
	slices.Sort(seen)
	t.Logf("%d purges, from the request to the last of 3 acknowledgements: median %v, p99 %v, worst %v; as its client sees it: median %v, worst %v",
		purges, Quantile(said, 0.5), Quantile(said, 0.99), said[purges-1], Quantile(seen, 0.5), seen[purges-1])
	if Quantile(seen, 0.5) > 250*time.Millisecond {
		t.Errorf("the median is %v", Quantile(seen, 0.5))
	}
}

// TestNothingOldAfterAcknowledgement makes all kinds of purges at 500 requests a second.
func TestNothingOldAfterAcknowledgement(t *testing.T) {
	b := three(t, Setup{Routes: shop})
	b.origin.Delay(3 * time.Millisecond) // keeps fills under way at every purge
	length := size(3*time.Second, 30*time.Second)
	var acknowledged atomic.Int64 // requests that start now must get at least this version
	stop := make(chan struct{})
	var purging sync.WaitGroup
	purges := 0
	var failed error
	purging.Go(func() {
		kinds := []Purge{{Tag: "kind:users"}, {Route: "users"}, {Prefix: "/users/"}, {Host: Host}, {All: true}, {Prefix: Host + "/users"}}
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(5+rand.N(20)) * time.Millisecond):
			}
			version := b.origin.Bump()
			a := b.Fleet[purges%3].Purge(kinds[purges%len(kinds)])
			if a.Err != nil || a.Applied != 3 {
				failed = fmt.Errorf("purge %d: %v\n%s", purges, a.Err, a.Text)
				return
			}
			acknowledged.Store(version)
			purges++
		}
	})
	old, wrong, hits := atomic.Int64{}, atomic.Int64{}, atomic.Int64{}
	var example atomic.Pointer[string]
	answers := Load(500, length, func(n int) Answer {
		q := Request{Path: fmt.Sprintf("/users/%d", rand.N(10))}
		floor := acknowledged.Load()
		a := b.Fleet[n%3].Do(q)
		if a.Hit() {
			hits.Add(1)
		}
		switch err := a.Wrong(q); {
		case err != nil:
			wrong.Add(1)
			s := err.Error()
			example.Store(&s)
		case a.Version() < floor:
			old.Add(1)
			s := fmt.Sprintf("%s of %s, after version %d was acknowledged: %v", q.Path, b.Fleet[n%3].Name, floor, a)
			example.Store(&s)
		}
		return a
	})
	close(stop)
	purging.Wait()
	t.Logf("%d requests, %d of them hits, %d calls to the origin, %d purges", len(answers), hits.Load(), len(b.origin.Calls("")), purges)
	if failed != nil || purges == 0 {
		t.Error(failed)
	}
	if old.Load() > 0 || wrong.Load() > 0 {
		t.Errorf("%d answers were older than a purge that had been acknowledged, %d were wrong: %s", old.Load(), wrong.Load(), *example.Load())
	}
	if hits.Load() == 0 {
		t.Error("there was no hit, so the test shows nothing")
	}
}
