// Package pools holds the connection pools of the upstreams over reloads. An upstream that does not
// change keeps its pool and its connections.
package pools

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/upstream"
)

// Pool is the pool of an upstream.
type Pool struct {
	*upstream.Pool
	// Unattended limits the fills from the upstream that continue without a client. It is nil if
	// the upstream's connections have no limit.
	Unattended *fill.Allowance
	made       upstream.Config
}

// unattendedShare limits the fills without a client. They may use the upstream's connections
// divided by unattendedShare.
const unattendedShare = 4

// newAllowance returns the allowance of an upstream with that configuration, or nil if its
// connections have no limit.
func newAllowance(c *upstream.Config) *fill.Allowance {
	if c.Limits.Max <= 0 {
		return nil
	}
	return fill.NewAllowance(c.Limits.Max * len(c.Targets) / unattendedShare)
}

// Set holds the pools of the running configuration. It may be used concurrently, but only one
// Change at a time may be under way.
type Set struct {
	now   func() time.Time
	reach reachability

	mu      sync.Mutex
	running map[string]*Pool // replaced under mu, by Commit alone, and never changed
}

// NewSet returns a Set without pools.
func NewSet(now func() time.Time) *Set { return &Set{now: now, running: make(map[string]*Pool)} }

// Running returns the pools of the running configuration by their upstreams' names. The caller must
// not change the map.
func (s *Set) Running() map[string]*Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

// Close closes all pools.
func (s *Set) Close() {
	for _, p := range s.Running() {
		p.Close()
	}
}

// Change is the set of pools for a configuration that is about to run. The caller either commits or
// discards it.
type Change struct {
	Pools map[string]*Pool // by the names of the upstreams
	set   *Set
	fresh []*Pool // pools that the running configuration does not have
}

// Prepare opens the pools that upstreams need and that do not exist yet.
func (s *Set) Prepare(upstreams map[string]*config.Upstream) (*Change, error) {
	c := &Change{set: s, Pools: make(map[string]*Pool, len(upstreams))}
	for name, u := range upstreams {
		p, err := c.pool(name, u)
		if err != nil {
			c.Discard()
			return nil, err
		}
		c.Pools[name] = p
	}
	return c, nil
}

// pool returns the running pool of an upstream that did not change, or a new pool.
func (c *Change) pool(name string, u *config.Upstream) (*Pool, error) {
	made, err := upstreamConfig(name, u)
	if err != nil {
		return nil, err
	}
	running := c.set.Running()[name]
	if running != nil && running.made.Equal(made) {
		return running, nil
	}
	env := upstream.Env{Now: c.set.now}
	if running != nil {
		env.Before = running.Pool
	}
	p, err := upstream.Open(made, env)
	if err != nil {
		return nil, err
	}
	fresh := &Pool{p, newAllowance(&made), made}
	c.fresh = append(c.fresh, fresh)
	return fresh, nil
}

// Commit makes the pools the running ones. It closes the pools that are no longer used, and their
// calls in flight continue.
func (c *Change) Commit() {
	old := c.set.Running()
	c.set.mu.Lock()
	c.set.running = c.Pools
	c.set.mu.Unlock()
	for name, p := range old {
		if c.Pools[name] != p {
			p.Close()
		}
	}
}

// Discard closes the pools that were opened for a configuration that will not run.
func (c *Change) Discard() {
	for _, p := range c.fresh {
		p.Close()
	}
}

// Target has the figures of one target of an upstream.
type Target struct {
	Upstream string
	upstream.TargetStats
}

// Targets returns the figures of all targets of the running configuration, sorted by upstream.
func (s *Set) Targets() []Target {
	pools := s.Running()
	var out []Target
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		seen := make(map[string]int)
		for _, stats := range pools[name].Stats() {
			if i, twice := seen[stats.Target]; twice { // targets that differ only in their path share a label
				out[i].TargetStats = out[i].Plus(stats)
				continue
			}
			seen[stats.Target] = len(out)
			out = append(out, Target{name, stats})
		}
	}
	return out
}
