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
	if err := flag.Set("test.parallel", "3"); err != nil { // fleets mostly wait, so a machine with two cores can run three
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
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

// size returns the first number, or with -full the second.
func size[T any](quick, whole T) T {
	if *full {
		return whole
	}
	return quick
}

// patient keeps a busy machine from appearing as a Redis failure, in tests of something else.
const patient = "timeout: 2s"

// bench is a fleet of three with its Redis and origin.
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

// sound fails the test unless each answer is the origin's response for its path at some version.
func sound(t *testing.T, q Request, a Answer) {
	t.Helper()
	if err := a.Wrong(q); err != nil {
		t.Fatal(err)
	}
}

// hit sends a request to an instance and fails the test unless the response is a hit of that
// version.
func hit(t *testing.T, i *Instance, q Request, version int64) {
	t.Helper()
	a := i.Do(q)
	sound(t, q, a)
	if !a.Hit() || a.Version() != version {
		t.Fatalf("%s of %s: %v; want a hit of version %d", q.Path, i.Name, a, version)
	}
}

// current sends a request to an instance and fails the test unless the response has that version.
func current(t *testing.T, i *Instance, q Request, version int64) Answer {
	t.Helper()
	a := i.Do(q)
	sound(t, q, a)
	if a.Version() != version {
		t.Fatalf("%s of %s: %v; want version %d", q.Path, i.Name, a, version)
	}
	return a
}

// asked fails the test unless the origin got that number of requests for the path.
func (b *bench) asked(t *testing.T, path string, want int) {
	t.Helper()
	if calls := b.origin.Calls(path); len(calls) != want {
		t.Fatalf("the origin was asked %d times for %q, want %d: %v", len(calls), path, want, calls)
	}
}

// eventually waits until ok returns true.
func eventually(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out after %v waiting until %s", within, what)
		}
	}
}

// redisIs waits until an instance reports this state of Redis.
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
