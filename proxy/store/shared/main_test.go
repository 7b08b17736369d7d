package shared

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/test/redistest"
)

func TestMain(m *testing.M) {
	// The pool of a node that stays down dials once a second, and notices only then that it was
	// closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// testTimeout is much longer than a call takes, and short enough to detect a call without a limit.
const testTimeout = 100 * time.Millisecond

// dial connects to the Redis at url and waits until it is found to be up.
func dial(t testing.TB, url string) *Client {
	t.Helper()
	c := open(t, Config{URL: url, Timeout: testTimeout})
	await(t, c, Up)
	return c
}

// steady is dial for tests with a healthy Redis, in which no call may fail because the machine is
// busy.
func steady(t testing.TB, url string) *Client {
	t.Helper()
	c := open(t, Config{URL: url, Timeout: 5 * time.Second})
	await(t, c, Up)
	return c
}

// open is Dial, with Close at the end of the test.
func open(t testing.TB, config Config) *Client {
	t.Helper()
	c, err := Dial(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// await waits until the breaker of c is in the given state.
func await(t testing.TB, c *Client, want State) {
	t.Helper()
	eventually(t, func() error {
		if h := c.Health(); h.State != want {
			return errors.New("state " + h.State.String() + ", want " + want.String())
		}
		return nil
	})
}

// eventually polls until check returns nil.
func eventually(t testing.TB, check func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// start runs a server and a client for it.
func start(t testing.TB) (*redistest.Server, *Client) {
	t.Helper()
	s := redistest.Start(t)
	return s, steady(t, s.URL())
}
