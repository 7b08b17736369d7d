package shared

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/test/redistest"
)

// echo is a call that Redis must answer.
func echo(c *Client) error {
	return c.call(context.Background(), func(ctx context.Context) error { return c.rdb.Echo(ctx, "x").Err() })
}

// slack is the time that a call may take beyond its timeout on a busy machine.
const slack = 150 * time.Millisecond

// wakeUps is the maximum number of times that a call waits for another goroutine: it dials, greets,
// writes and reads.
const wakeUps = 10

// within fails the test if call takes longer than the timeout of a Client. A timer that runs beside
// the call measures how late the machine wakes goroutines, so that the check is as strict as the
// load of the machine allows.
func within(t *testing.T, call func() error) error {
	t.Helper()
	begun := time.Now()
	late := make(chan time.Duration, 1)
	time.AfterFunc(testTimeout, func() { late <- time.Since(begun) - testTimeout })
	err := call()
	if d := time.Since(begun); d > testTimeout+slack && d > testTimeout+slack+wakeUps*<-late {
		t.Errorf("took %v, the timeout is %v: %v", d, testTimeout, err)
	}
	return err
}

func TestStartsWithoutRedis(t *testing.T) {
	s := redistest.Start(t)
	s.Stop()
	begun := time.Now()
	c := open(t, Config{URL: s.URL(), Timeout: testTimeout})
	if d := time.Since(begun); d > slack {
		t.Errorf("Dial took %v", d)
	}
	_ = within(t, func() error { return echo(c) })
	await(t, c, Down)
	h := c.Health()
	if h.Err == nil || h.Since.IsZero() || h.ErrAt.IsZero() || h.Server != s.URL() {
		t.Errorf("health %+v", h)
	}
	if err := echo(c); !errors.Is(err, ErrOpen) {
		t.Errorf("a call while Redis is skipped: %v", err)
	}
	s.Restart()
	await(t, c, Up)
	if err := echo(c); err != nil {
		t.Error(err)
	}
}

func TestSickRedis(t *testing.T) {
	for _, test := range []struct {
		name        string
		spoil, heal func(*redistest.Server, *redistest.Proxy)
	}{
		{"paused", func(s *redistest.Server, _ *redistest.Proxy) { s.Pause() }, func(s *redistest.Server, _ *redistest.Proxy) { s.Resume() }},
		{"stopped", func(s *redistest.Server, _ *redistest.Proxy) { s.Stop() }, func(s *redistest.Server, _ *redistest.Proxy) { s.Restart() }},
		{"slow", func(_ *redistest.Server, p *redistest.Proxy) { p.Delay(2 * time.Second) }, healed},
		{"reset in a reply", func(_ *redistest.Server, p *redistest.Proxy) { p.ResetAfter(3) }, healed},
		{"half a reply", func(_ *redistest.Server, p *redistest.Proxy) { p.CloseAfter(3) }, healed},
		{"nonsense", func(_ *redistest.Server, p *redistest.Proxy) { p.Replace([]byte("220 mail.example ESMTP\r\n")) }, healed},
		{"half a reply and silence", func(_ *redistest.Server, p *redistest.Proxy) { p.Replace([]byte("$10\r\nabc")) }, healed},
		{"loading", func(_ *redistest.Server, p *redistest.Proxy) { p.Replace([]byte("-LOADING Redis is loading\r\n")) }, healed},
		{"moved in circles", func(_ *redistest.Server, p *redistest.Proxy) { p.Replace([]byte("-MOVED 1 127.0.0.1:1\r\n")) }, healed},
		{"refusing", func(_ *redistest.Server, p *redistest.Proxy) { p.Refuse() }, healed},
		{
			"read only",
			func(s *redistest.Server, _ *redistest.Proxy) { s.Must("REPLICAOF", "127.0.0.1", "1") },
			func(s *redistest.Server, _ *redistest.Proxy) { s.Must("REPLICAOF", "NO", "ONE") },
		},
		{
			"out of memory",
			func(s *redistest.Server, _ *redistest.Proxy) { s.Must("CONFIG", "SET", "maxmemory", "1") },
			func(s *redistest.Server, _ *redistest.Proxy) { s.Must("CONFIG", "SET", "maxmemory", "0") },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			p := redistest.StartProxy(t, s.Addr)
			c := dial(t, p.URL())
			write := func() error {
				return c.call(context.Background(), func(ctx context.Context) error { return c.rdb.Set(ctx, "x", "y", 0).Err() })
			}
			eventually(t, write) // a busy machine may delay one
			test.spoil(s, p)
			for range 2 * openAt / failureWeight {
				if err := within(t, write); err == nil {
					t.Error("no error")
				}
			}
			if err := write(); !errors.Is(err, ErrOpen) {
				t.Errorf("the breaker is not open: %v", err)
			}
			begun := time.Now()
			for range 1000 {
				_ = write()
			}
			if d := time.Since(begun); d > testTimeout {
				t.Errorf("1000 skipped calls took %v", d)
			}
			if h := c.Health(); h.State != Down || h.Err == nil {
				t.Errorf("health %+v", h)
			}
			test.heal(s, p)
			await(t, c, Up)
			eventually(t, write)
		})
	}
}

func healed(_ *redistest.Server, p *redistest.Proxy) { p.Heal() }

func TestCallersCancellationIsNotAFailure(t *testing.T) {
	_, c := start(t)
	for range 2 * openAt {
		ctx, cancel := context.WithCancel(t.Context())
		err := c.call(ctx, func(ctx context.Context) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if h := c.Health(); h.State != Up || h.Err != nil {
		t.Errorf("health %+v", h)
	}
}

func TestErrorRepliesAreNotFailures(t *testing.T) {
	s, c := start(t)
	s.Must("SET", "s", "x")
	for range 2 * openAt {
		for _, fn := range []func(context.Context) error{
			func(ctx context.Context) error { return c.rdb.Get(ctx, "absent").Err() },
			func(ctx context.Context) error { return c.rdb.HGet(ctx, "s", "f").Err() },
			func(ctx context.Context) error { return c.rdb.EvalSha(ctx, strings.Repeat("0", 40), nil).Err() },
			func(context.Context) error { return store.ErrFenced },
		} {
			if err := c.call(t.Context(), fn); err == nil {
				t.Fatal("no error")
			}
		}
	}
	if h := c.Health(); h.State != Up || h.Err != nil {
		t.Errorf("health %+v", h)
	}
}

func TestBreakerCounts(t *testing.T) {
	fault, now := errors.New("fault"), time.Unix(1, 0)
	open := func(successes, calls int) bool {
		var b breaker
		b.init(now)
		for range calls {
			if b.failure(fault, now) {
				return true
			}
			for range successes {
				b.success()
			}
		}
		return false
	}
	if !open(0, 4) || open(0, 3) {
		t.Error("it opens at the fourth failure in a row, and not before")
	}
	if !open(2, 100) {
		t.Error("every third call fails, and it stays closed")
	}
	if open(9, 1000) {
		t.Error("every tenth call fails, and it opens")
	}
}

func TestClose(t *testing.T) {
	s := redistest.Start(t)
	c, err := Dial(Config{URL: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := echo(c); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a call after Close: %v", err)
	}
}

func TestCloseWhileRedisIsPaused(t *testing.T) {
	s := redistest.Start(t)
	c := dial(t, s.URL())
	s.Pause()
	begun := time.Now()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(begun); d > time.Second {
		t.Errorf("Close took %v", d)
	}
}

func TestSentinel(t *testing.T) {
	master := redistest.Start(t)
	s := redistest.StartSentinel(t, "m", master)
	c := dial(t, "redis+sentinel://"+s.Addr+"/m/1")
	err := c.call(t.Context(), func(ctx context.Context) error { return c.rdb.Set(ctx, "k", "v", 0).Err() })
	if err != nil {
		t.Fatal(err)
	}
	if keys := master.Keys("k"); len(keys) != 0 {
		t.Errorf("database 0 has %q", keys)
	}
}

func TestClusterWithAPausedNode(t *testing.T) {
	nodes := redistest.StartCluster(t, 3)
	c := dial(t, nodes.URL())
	nodes.Nodes[1].Pause()
	eventually(t, func() error {
		for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			err := within(t, func() error {
				return c.call(t.Context(), func(ctx context.Context) error { return c.rdb.Set(ctx, key, "v", 0).Err() })
			})
			if errors.Is(err, ErrOpen) {
				return nil
			}
		}
		return errors.New("the breaker is not open")
	})
	nodes.Nodes[1].Resume()
	await(t, c, Up)
}

func TestCredentials(t *testing.T) {
	s := redistest.Start(t, "--user", "gateway", "on", ">secret word", "~*", "&*", "+@all")
	s.Must("CONFIG", "SET", "requirepass", "other")
	addr := strings.TrimPrefix(s.URL(), "redis://")
	c := dial(t, "redis://gateway:secret%20word@"+addr)
	if h := c.Health(); strings.Contains(h.Server, "secret") {
		t.Errorf("server %q", h.Server)
	}
	wrong := open(t, Config{URL: "redis://gateway:wrong@" + addr, Timeout: testTimeout})
	await(t, wrong, Down)
	if h := wrong.Health(); strings.Contains(h.Err.Error(), "wrong@") {
		t.Errorf("error %q", h.Err)
	}
}
