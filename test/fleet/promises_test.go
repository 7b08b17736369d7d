package fleet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/test/redistest"
)

// promiseRoutes has pages, which tests purge, and a queue of writes that is tried again soon.
const promiseRoutes = `
- {name: pages, match: {path: "/pages/*"}}
- name: queued
  match: {path: "/queued/{id}", methods: [GET, PUT]}
  writes: {policy: behind, queue: {retries: 1000, backoff: 20ms, max_backoff: 200ms}}
`

const (
	promiseTier = "timeout: 500ms, max_cut_off: 5s"
	maxCutOff   = 5 * time.Second  // as in promiseTier
	named       = 10 * time.Second // how long purges name an instance: max_cut_off and 5 s
	slack       = 15 * time.Second // what a busy machine may add to a promised time
)

// TestPromises holds the tables of promises in deploy/README.md against each kind of Redis: what
// the answer to a purge promises, and what becomes of acknowledged writes. Each event is a row,
// each kind a column.
func TestPromises(t *testing.T) {
	events := []struct {
		name       string
		run        func(*promised, *testing.T)
		replicated bool // it needs a replica
	}{
		{"instances are cut off, paused and killed", (*promised).cutOff, false},
		{"Redis fails over", (*promised).failover, true},
		{"Redis evicts", (*promised).evicts, false},
		{"Redis is flushed", (*promised).flushed, false},
		{"Redis restarts empty", (*promised).restarts, false},
		{"Redis is restored from an older copy or fails over to a replica that lags", (*promised).restored, false},
	}
	for _, kind := range redistest.Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := startPromised(t, kind)
			for _, e := range events {
				if !e.replicated || p.redis.Replicated() {
					t.Run(e.name, func(t *testing.T) { e.run(p, t) })
				}
			}
		})
	}
}

// promised is a fleet of a, b and c. Tests cut b off from Redis by its gate.
type promised struct {
	bench
	redis *redistest.Deployment
	gate  *redistest.Gate
	setup Setup
	t     *testing.T // all instances end with it
	paths int        // how many were given out
}

func startPromised(t *testing.T, kind string) *promised {
	redis, err := redistest.StartKind(t, kind, "--maxmemory", "64mb", "--maxmemory-policy", "noeviction")
	if err != nil {
		t.Fatal(err)
	}
	p := &promised{t: t, redis: redis, gate: redistest.StartGate(t, redis.Gated...)}
	p.origin = NewOrigin(t)
	p.setup = Setup{Origin: p.origin.URL, Redis: redis.URL, Tier: promiseTier, Routes: promiseRoutes}
	p.a, p.c = p.start("a"), p.start("c")
	behind := p.setup
	behind.Redis = p.gate.URL(redis.URL)
	p.b = gateway.Start(t, "b", behind)
	p.Fleet = Fleet{p.a, p.b, p.c}
	p.Meet(t)
	return p
}

func (p *promised) start(name string) *Instance { return gateway.Start(p.t, name, p.setup) }

// path returns a path that the run has not used.
func (p *promised) path(folder string) Request {
	p.paths++
	return Request{Path: fmt.Sprintf("/%s/%d", folder, p.paths)}
}

// page returns a page that the memory of all given instances has.
func (p *promised) page(t *testing.T, on ...*Instance) Request {
	t.Helper()
	q, version := p.path("pages"), p.origin.Version()
	for _, i := range on {
		var x Answer
		defer func() {
			if t.Failed() {
				t.Logf("the last answer of %s: %v %s", i.Name, x, i.Ready().Body)
			}
		}()
		eventually(t, i.Name+" has "+q.Path+" in its cache", slack, func() bool {
			x = i.Do(q)
			sound(t, q, x)
			return x.Hit() && x.Version() == version
		})
	}
	return q
}

// purgePages begins a version, purges all pages on a and checks that a has no older one.
func (p *promised) purgePages(t *testing.T, q Request) Purged {
	t.Helper()
	version := p.origin.Bump()
	said := p.a.Purge(Purge{Tag: "kind:pages", Wait: "200ms"})
	if said.Err != nil || !slices.Contains([]int{200, 202, 503}, said.Status) || (said.Status == 202) != (len(said.Missing) > 0) {
		t.Fatalf("a purge: %d %s, %v", said.Status, said.Text, said.Err)
	}
	current(t, p.a, q, version)
	return said
}

// names purges until Redis takes the purge, and all instances but the missing ones have applied it:
// a busy machine may delay one. No answer may be 200 while an instance that was cut off at that
// time may still serve its memory. If the machine is so slow that this time is over before Redis
// takes a purge, b must serve nothing old.
func (p *promised) names(t *testing.T, q Request, cut time.Time, missing int) {
	t.Helper()
	eventually(t, fmt.Sprintf("a purge names just %d instances", missing), slack, func() bool {
		said := p.purgePages(t, q)
		if said.Status == http.StatusOK {
			if time.Since(cut) < maxCutOff {
				t.Fatalf("a purge is answered 200 without %d instances: %s", missing, said.Text)
			}
			current(t, p.b, q, p.origin.Version())
			return true
		}
		return said.Status == http.StatusAccepted && len(said.Missing) == missing
	})
}

// counted purges until the answer is 200, and returns how long that took. q is in the memory of
// each instance of on, none of which may serve it then.
func (p *promised) counted(t *testing.T, q Request, within time.Duration, on ...*Instance) time.Duration {
	t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		said := p.purgePages(t, q)
		if said.Status == http.StatusOK {
			for _, i := range on {
				current(t, i, q, p.origin.Version())
			}
			return time.Since(began)
		}
		if time.Since(began) > within {
			t.Fatalf("after %v a purge is still answered %d: %s", within, said.Status, said.Text)
		}
	}
}

// forgets waits until instances ask the origin for q although no purge has named it.
func (p *promised) forgets(t *testing.T, q Request, on ...*Instance) {
	t.Helper()
	for _, i := range on {
		eventually(t, i.Name+" counts "+q.Path+" as purged", slack, func() bool {
			x := i.Do(q)
			sound(t, q, x)
			return x.Version() == p.origin.Version()
		})
	}
}

// together heals b's way to Redis and waits until all three instances apply purges. b must have
// nothing old by then.
func (p *promised) together(t *testing.T, q Request) {
	t.Helper()
	p.gate.Heal()
	redisIs(t, p.b, "up")
	current(t, p.b, q, p.origin.Version())
	p.Meet(t)
}

// holders returns the primaries that have the history of purges and the queue of writes. In a
// Cluster they differ.
func (p *promised) holders(t *testing.T) (list []*redistest.Server) {
	t.Helper()
	for _, key := range []string{history, "penstock:{writes}:n"} {
		var s *redistest.Server
		eventually(t, "a primary has "+key, slack, func() bool { s = p.redis.HolderOf(key); return s != nil })
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// accepted offers writes to an instance until it acknowledges one. It returns the write's path and
// the path of its state.
func (p *promised) accepted(t *testing.T, by *Instance) (q Request, state string) {
	t.Helper()
	eventually(t, by.Name+" accepts a write", slack, func() bool {
		q = p.path("queued")
		state = p.offer(t, by, q)
		return state != ""
	})
	return q, state
}

// offer sends a write. It returns the path of its state, "" if the instance refuses the write for
// now.
func (p *promised) offer(t *testing.T, by *Instance, q Request) (state string) {
	t.Helper()
	status, header, said := by.send(t, http.MethodPut, q.Path, "x")
	switch {
	case status == http.StatusAccepted:
		return header.Get("Location")
	case status != http.StatusServiceUnavailable || header.Get("Retry-After") == "":
		t.Fatalf("a write is answered %d: %s", status, said)
	}
	time.Sleep(50 * time.Millisecond)
	return ""
}

// becomes waits until a tells that state of a write.
func (p *promised) becomes(t *testing.T, state, want string) {
	t.Helper()
	eventually(t, "the state of a write is "+want, 10*time.Second+slack, func() bool {
		_, _, text := p.a.get(t, state)
		var said struct{ State string }
		return json.Unmarshal([]byte(text), &said) == nil && said.State == want
	})
}
