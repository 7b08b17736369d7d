package fleet

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/penstock/penstock/test/redistest"
)

var (
	full    = flag.Bool("full", false, "run at full size, which takes some minutes")
	gateway = new(Gateway) // built by TestMain
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if gateway, err = Build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// size is the first, or with -full the second.
func size[T any](quick, whole T) T {
	if *full {
		return whole
	}
	return quick
}

// patient keeps a busy machine from being taken for a sick Redis, in tests of something else.
const patient = "timeout: 2s"

// bench is a fleet of three with what is around it.
type bench struct {
	Fleet
	a, b, c *Instance
	redis   *redistest.Server
	origin  *Origin
}

// three starts three instances, one Redis and one origin.
func three(t *testing.T, s Setup) *bench {
	t.Helper()
	redis, origin := redistest.Start(t), NewOrigin(t)
	s.Redis, s.Origin = redis.URL(), origin.URL
	if s.Tier == "" {
		s.Tier = patient
	}
	f := gateway.StartFleet(t, s, "a", "b", "c")
	return &bench{f, f[0], f[1], f[2], redis, origin}
}

// sound fails the test where an answer is not what the origin gave for the path at some version.
func sound(t *testing.T, q Request, a Answer) {
	t.Helper()
	if err := a.Wrong(q); err != nil {
		t.Fatal(err)
	}
}

// hit asks an instance and fails the test where it does not have the answer of that version.
func hit(t *testing.T, i *Instance, q Request, version int64) {
	t.Helper()
	a := i.Do(q)
	sound(t, q, a)
	if !a.Hit() || a.Version() != version {
		t.Fatalf("%s of %s: %v; want a hit of version %d", q.Path, i.Name, a, version)
	}
}

// current asks an instance and fails the test where the answer is not of that version.
func current(t *testing.T, i *Instance, q Request, version int64) Answer {
	t.Helper()
	a := i.Do(q)
	sound(t, q, a)
	if a.Version() != version {
		t.Fatalf("%s of %s: %v; want version %d", q.Path, i.Name, a, version)
	}
	return a
}

// asked fails the test where the origin was not asked for the path as often.
func (b *bench) asked(t *testing.T, path string, want int) {
	t.Helper()
	if calls := b.origin.Calls(path); len(calls) != want {
		t.Fatalf("the origin was asked %d times for %q, want %d: %v", len(calls), path, want, calls)
	}
}

// eventually waits until ok holds.
func eventually(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in %v it did not come about that %s", within, what)
		}
	}
}

// redisIs waits until an instance says so.
func redisIs(t *testing.T, i *Instance, want string) {
	t.Helper()
	var last Readiness
	defer func() {
		if t.Failed() {
			t.Logf("%s says %+v", i.Name, last)
		}
	}()
	eventually(t, i.Name+" finds Redis "+want, 10*time.Second, func() bool {
		last = i.Ready()
		return last.HTTP == 200 && last.Redis == want
	})
}
