package shared

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// State is the observed state of Redis.
type State uint8

const (
	Connecting State = iota // unknown yet: calls are made
	Up                      // Redis answers: calls are made
	Down                    // Redis does not answer: calls are skipped, and it is probed in the background
)

// String returns the state's name as shown by /readyz.
func (s State) String() string { return [...]string{"connecting", "up", "down"}[min(s, Down)] }

// Health is the state of Redis as this instance sees it.
type Health struct {
	State  State
	Since  time.Time // beginning of this state
	Err    error     // last error, or nil
	ErrAt  time.Time // time of Err
	Server string    // address without credentials
}

// Weights of the breaker. A failure weighs as much as failureWeight successes. So the breaker opens
// after a few failures in a row, or if a part of a cluster fails every third call, but not if one
// call in ten is lost.
const (
	failureWeight = 8
	openAt        = 4 * failureWeight
)

// breaker decides whether calls are made. Deciding takes one atomic load, and recording a success
// another one.
type breaker struct {
	state atomic.Uint32
	score atomic.Int32
	wake  chan struct{} // holds a token after the breaker has opened

	mu    sync.Mutex
	since time.Time
	err   error
	errAt time.Time
}

func (b *breaker) init(now time.Time) {
	b.since = now
	b.wake = make(chan struct{}, 1)
}

func (b *breaker) skips() bool { return State(b.state.Load()) == Down }

func (b *breaker) success() {
	if n := b.score.Load(); n > 0 {
		b.score.CompareAndSwap(n, n-1) // if two calls race, losing one success does not matter
	}
}

// failure records a failed call and reports whether it has opened the breaker.
func (b *breaker) failure(err error, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err, b.errAt = err, now
	if b.skips() {
		return false
	}
	if b.score.Add(failureWeight) < openAt && !isRefusal(err) {
		return false
	}
	b.set(Down, now)
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return true
}

// open records a failed probe and reports whether the state has changed.
func (b *breaker) open(err error, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err, b.errAt = err, now
	if b.skips() {
		return false
	}
	b.set(Down, now)
	return true
}

// close records a successful probe and reports whether the state has changed.
func (b *breaker) close(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if State(b.state.Load()) == Up {
		return false
	}
	b.set(Up, now)
	return true
}

func (b *breaker) set(s State, now time.Time) {
	b.since = now
	b.score.Store(0)
	b.state.Store(uint32(s))
}

func (b *breaker) health() Health {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Health{State: State(b.state.Load()), Since: b.since, Err: b.err, ErrAt: b.errAt}
}

// isRefusal reports whether the error is a statement of the server that it can't work at all. One
// such error opens the breaker. Lack of memory is not a refusal, because Redis can still be read
// then.
func isRefusal(err error) bool {
	for _, prefix := range [...]string{
		"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "MISCONF", "NOREPLICAS", "NOAUTH", "WRONGPASS", "NOPERM",
	} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

const (
	minProbe = 50 * time.Millisecond
	maxProbe = time.Second
	// Interval while Redis is up; finds a server that has become a replica before a call writes to
	// it.
	idleProbe = 5 * time.Second
	probeTTL  = time.Minute
)

// Health returns the state of Redis according to the calls and probes so far.
func (c *Client) Health() Health {
	h := c.breaker.health()
	h.Server = c.server
	return h
}

// watch probes Redis until Close: at once, then rarely while Redis is up, and more often while it
// is down.
func (c *Client) watch() {
	interval := minProbe
	for {
		wait := idleProbe
		if err := c.probe(c.stop); err == nil {
			interval = minProbe
			if c.breaker.close(c.now()) {
				c.log.Info("Redis answers again", "server", c.server)
			}
		} else if c.stop.Err() == nil {
			c.doubt(err)
			wait = interval + rand.N(interval/4)
			interval = min(2*interval, maxProbe)
		}
		timer := time.NewTimer(wait)
		select {
		case <-c.stop.Done():
			timer.Stop()
			return
		case <-c.breaker.wake: // a call has failed; the next probe shows whether Redis has
			interval = minProbe
			pause(c.stop, minProbe)
		case <-timer.C:
		}
		timer.Stop()
	}
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// doubt records a failed probe. While Redis is up, one failed probe does not open the breaker.
func (c *Client) doubt(err error) {
	if c.Health().State == Up {
		c.report(err)
		return
	}
	err = nameNoFiles(err)
	if c.breaker.open(err, c.now()) {
		c.log.Warn("Redis does not answer; calls skip it until it does", "server", c.server, "error", err)
	}
}

// probe reports whether Redis does its work within the timeout of a call. Connecting comes first
// and may take longer.
func (c *Client) probe(ctx context.Context) error {
	connect, cancel := context.WithTimeout(ctx, max(4*c.timeout, minDial))
	defer cancel()
	if err := c.ping(connect); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := c.ping(bounded); err != nil {
		return err
	}
	// A replica or a server without free memory still answers PING, so test a write.
	if err := c.rdb.Set(bounded, c.fleetKey("probe"), c.instance, probeTTL).Err(); err != nil {
		return fmt.Errorf("shared: writing to %s: %w", c.server, err)
	}
	return nil
}

// ping pings every server that holds a part of the keys.
func (c *Client) ping(ctx context.Context) error {
	var err error
	if cluster, ok := c.rdb.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return node.Ping(ctx).Err() })
	} else {
		err = c.rdb.Ping(ctx).Err()
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shared: no answer from %s in time: %w", c.server, err)
	}
	return fmt.Errorf("shared: %s: %w", c.server, err)
}
