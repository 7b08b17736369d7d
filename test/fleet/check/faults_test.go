package check

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/fleet"
	"github.com/penstock/penstock/test/redistest"
	"github.com/penstock/penstock/test/wrongclock"
)

// newWorld is a run with one instance, in which nothing happens by itself. The test sets over at
// its end.
func newWorld(t *testing.T, redis string) *world {
	t.Helper()
	w := &world{
		Options: Options{Redis: redis, MaxFault: time.Second, Log: t.Logf},
		tb:      t, gateway: fleet.At(binary.Path()), began: time.Now(), names: make(map[string]string),
	}
	var err error
	if w.redis, err = startRedis(t, redis, "volatile-lfu"); err != nil {
		t.Fatal(err)
	}
	w.origin = newOrigin(t, 1, 1, w.now)
	w.members = []*member{w.newMember("a")}
	return w
}

// wrong is how far the Date of an instance is ahead. The operators' listener has a Date of its own.
func wrong(t *testing.T, m *member) time.Duration {
	t.Helper()
	a, err := http.Get(m.now().Admin + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	date, err := http.ParseTime(a.Header.Get("Date"))
	if err != nil {
		t.Fatal(err)
	}
	return time.Until(date).Round(30 * time.Second)
}

func TestClockFaults(t *testing.T) {
	if !wrongclock.Supported {
		return // the faults are left out
	}
	w := newWorld(t, "single")
	defer w.over.Store(true)
	m := w.members[0]
	for i, want := range []time.Duration{time.Minute, -time.Minute} {
		end := w.clockFaults(m)[i].begin()
		if got := wrong(t, m); got != want {
			t.Errorf("the clock is off by %v, want %v", got, want)
		}
		w.kill(m)
		w.start(m)
		if got := wrong(t, m); got != want {
			t.Errorf("the clock of the next instance is off by %v, want %v", got, want)
		}
		end()
		if got := wrong(t, m); got != 0 {
			t.Errorf("after the fault the clock is off by %v", got)
		}
	}
}

// TestSoftPurgeByAClockAhead makes a soft purge by a clock that is ahead, and then puts the clock
// right. The response stays stale.
func TestSoftPurgeByAClockAhead(t *testing.T) {
	if !wrongclock.Supported {
		return // the faults are left out
	}
	w := newWorld(t, "single")
	defer w.over.Store(true)
	i := w.members[0].now()
	page := fleet.Request{Path: "/pages/a/1"}
	i.Do(page)
	w.misset(w.members[0], time.Minute)
	w.origin.bump()
	if a := i.Purge(fleet.Purge{Tag: "object:" + page.Path, Soft: true}); a.Status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	w.misset(w.members[0], 0)
	if a := i.Do(page); a.Version() == 1 && a.TTL() >= 0 && !strings.Contains(a.Header.Get("Cache-Status"), "detail=stale") {
		t.Errorf("after the purge: %v", a)
	}
}

// TestReshardFault moves the slots of the servers that have keys of the fleet, until the history of
// purges has moved.
func TestReshardFault(t *testing.T) {
	w := newWorld(t, "cluster")
	defer w.over.Store(true)
	random := rand.New(rand.NewPCG(1, 1))
	history := func() *redistest.Server {
		i := slices.IndexFunc(w.redis.Primaries(), func(s *redistest.Server) bool { return len(s.Keys("penstock:{fleet}:")) > 0 })
		if i < 0 {
			t.Fatal("no primary has the history of purges")
		}
		return w.redis.Primaries()[i]
	}
	before := history()
	faults := w.redisFaults(random, before)
	i := slices.IndexFunc(faults, func(f fault) bool { return strings.HasPrefix(f.what, "slots move") })
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the fault lasts no longer than the move
	for end := time.Now().Add(30 * time.Second); history() == before; {
		if time.Now().After(end) {
			t.Fatal("the history of purges has not moved")
		}
		w.inject(ctx, random, faults[i])
	}
	if err := w.whole(); err != nil {
		t.Error(err)
	}
	if p := w.introduce(w.members[0].now(), time.Second); p.Status != http.StatusOK {
		t.Errorf("a purge after the move: %+v", p)
	}
}
