package shared

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	minProbe  = 50 * time.Millisecond
	maxProbe  = time.Second
	idleProbe = 5 * time.Second // while it is up: a server that has become a replica shows before it is written to
	probeTTL  = time.Minute
)

// Health is the state of Redis as found by the calls and probes so far.
func (c *Client) Health() Health {
	h := c.breaker.health()
	h.Server = c.server
	return h
}

// watch probes until Close: at once, then seldom while Redis is up, and more often while it is not.
func (c *Client) watch() {
	interval := minProbe
	for {
		wait := idleProbe
		if err := c.probe(c.stop); err == nil {
			interval = minProbe
			if c.breaker.close(c.now()) {
				c.log.Info("Redis answers", "server", c.server)
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
		case <-c.breaker.wake: // by a call that failed; the next probe shows whether it is still so
			interval = minProbe
			pause(c.stop, minProbe)
		case <-timer.C:
		}
		timer.Stop()
	}
}

// pause waits, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// doubt notes a probe that failed. One alone does not turn away from a Redis that answers calls.
func (c *Client) doubt(err error) {
	if c.Health().State == Up {
		c.report(err)
		return
	}
	if c.breaker.open(err, c.now()) {
		c.log.Warn("Redis does not answer; it is skipped until it does", "server", c.server, "error", err)
	}
}

// probe tells whether Redis does what calls need, in the time that they have. It may take longer to connect, which is done first.
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
	// A replica, and a server that is out of memory, answer PING.
	if err := c.rdb.Set(bounded, c.fleetKey("probe"), c.instance, probeTTL).Err(); err != nil {
		return fmt.Errorf("shared: %s can't be written to: %w", c.server, err)
	}
	return nil
}

// ping asks every server that serves a part of the keys.
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
		return fmt.Errorf("shared: %s does not answer in time: %w", c.server, err)
	}
	return fmt.Errorf("shared: %s: %w", c.server, err)
}
