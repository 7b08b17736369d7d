package proxy

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/edge/addresses"
	"github.com/penstock/penstock/proxy/fleet"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/upstream"
	"github.com/penstock/penstock/proxy/write"
)

// live holds the state that outlives a Snapshot: stored responses, fills under way, and the
// connections of upstreams that did not change.
type live struct {
	fleet    *fleet.Member
	size     config.MemoryStore
	cache    *cache.Cache
	prefetch *prefetcher
	lists    *addresses.Watcher // of the files of addresses that routes name
	pools    map[string]*pool   // replaced under poolsMu, by commit alone
	// poolsMu lets other goroutines read pools while the gateway runs.
	poolsMu sync.Mutex
	random  func() float64
	now     func() time.Time
	log     *slog.Logger
	counted combined

	queue       *write.Queue // of writes that are applied later; nil if there is no queue
	queueConfig config.WriteQueue
	dry         bool // true if the gateway only checks a configuration, so that no queue is opened
	applyWrite  func(context.Context, *write.Write, bool) write.Outcome
	tried       func(*write.Record, time.Duration)
}

// pool is an upstream's pool and the configuration of which it was made.
type pool struct {
	*upstream.Pool
	made upstream.Config
	// unattended limits the fills from here that continue without a client.
	unattended *fill.Allowance
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

// unattended returns the allowance of the upstream of that name. It is nil if the route has no
// single upstream, because its calls go to several.
func (g *generation) unattended(name string) *fill.Allowance {
	if p := g.pools[name]; p != nil {
		return p.unattended
	}
	return nil
}

func newLive(cfg *config.Config, o Options, random func() float64) (*live, error) {
	member, err := fleet.Join(cfg.Cache, o.Now, o.Log)
	if err != nil {
		return nil, err
	}
	made := cache.Config{
		Now: o.Now, Random: random, Log: o.Log, Name: Name,
		WriteError: edge.WriteError, WithInterim: upstream.WithInterim, Rewritten: edge.Rewrites, Filled: fillTold(o.Sink),
	}
	member.Connect(&made)
	return &live{
		fleet: member, size: cfg.Cache.Memory, cache: cache.New(made), prefetch: newPrefetcher(o.Now), lists: addresses.NewWatcher(o.Log), pools: make(map[string]*pool),
		random: random, now: o.Now, log: o.Log,
	}, nil
}

// fillTold returns the function that reports fills to sink, or nil if sink does not take them.
func fillTold(sink observe.Sink) func(*observe.Event) {
	if f, ok := sink.(observe.Filler); ok {
		return f.Fill
	}
	return nil
}

// generation is the set of resources for a configuration that is about to run. The caller either
// commits or discards it.
type generation struct {
	live  *live
	pools map[string]*pool
	fresh []*pool                    // pools that the running configuration does not have
	queue *write.Queue               // set if this configuration is the first that needs a queue
	lists map[string]*addresses.List // by path
	// batches has the routes with a batch that are compiled so far.
	batches map[string]*batchRoute
}

// prepare makes the resources that cfg needs and that do not exist yet.
func (l *live) prepare(cfg *config.Config) (*generation, error) {
	if err := l.fleet.Keeps(cfg.Cache); err != nil {
		return nil, err
	}
	next := &generation{live: l, pools: make(map[string]*pool, len(cfg.Upstreams)), lists: make(map[string]*addresses.List), batches: make(map[string]*batchRoute)}
	for name, u := range cfg.Upstreams {
		p, err := l.pool(name, u, next)
		if err != nil {
			next.discard()
			return nil, err
		}
		next.pools[name] = p
	}
	var err error
	if next.queue, err = l.openQueue(cfg); err != nil {
		next.discard()
		return nil, err
	}
	return next, nil
}

// pool returns the running pool of an upstream that did not change, or a new pool.
func (l *live) pool(name string, u *config.Upstream, next *generation) (*pool, error) {
	made, err := upstreamConfig(name, u)
	if err != nil {
		return nil, err
	}
	if running := l.pools[name]; running != nil && running.made.Equal(made) {
		return running, nil
	}
	env := upstream.Env{Now: l.now}
	if running := l.pools[name]; running != nil {
		env.Before = running.Pool
	}
	p, err := upstream.Open(made, env)
	if err != nil {
		return nil, err
	}
	fresh := &pool{p, made, newAllowance(&made)}
	next.fresh = append(next.fresh, fresh)
	return fresh, nil
}

// targetFigures are the figures of one target of an upstream.
type targetFigures struct {
	upstream string
	upstream.TargetStats
}

// targets returns the figures of all targets of the running configuration, sorted by upstream.
func (l *live) targets() []targetFigures {
	l.poolsMu.Lock()
	pools := l.pools // the map is replaced and never changed
	l.poolsMu.Unlock()
	var out []targetFigures
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		seen := make(map[string]int)
		for _, s := range pools[name].Stats() {
			if i, twice := seen[s.Target]; twice { // targets that differ only in their path share a label
				out[i].TargetStats = out[i].Plus(s)
				continue
			}
			seen[s.Target] = len(out)
			out = append(out, targetFigures{name, s})
		}
	}
	return out
}

// commit makes the generation the running one. It closes the pools that the generation does not
// use, and their calls in flight continue.
func (n *generation) commit() {
	if n.queue != nil {
		n.live.queue = n.queue
		n.queue.Start()
	}
	if !n.live.dry {
		n.live.lists.Watch(n.lists)
	}
	old := n.live.pools
	n.live.poolsMu.Lock()
	n.live.pools = n.pools
	n.live.poolsMu.Unlock()
	for name, p := range old {
		if n.pools[name] != p {
			p.Close()
		}
	}
}

// discard releases the resources of a configuration that will not run.
func (n *generation) discard() {
	for _, p := range n.fresh {
		p.Close()
	}
	if n.queue != nil {
		_ = n.queue.Close(context.Background()) // it was never started
	}
}

// close ends the application of writes, which stay queued, then fills and refreshes, then the
// stores and connections that they use.
func (l *live) close(ctx context.Context) error {
	l.prefetch.close()
	var queued error
	if l.queue != nil {
		queued = l.queue.Close(ctx)
	}
	err := cmp.Or(l.cache.Close(ctx), queued)
	l.cache.CloseTunnels()
	for _, p := range l.pools {
		p.Close()
	}
	l.fleet.Close()
	l.lists.Close()
	return err
}

func upstreamConfig(name string, u *config.Upstream) (upstream.Config, error) {
	made := upstream.Config{
		Name: name, Balance: upstream.Balance(u.Balance), Protocol: upstream.Protocol(u.Protocol), PreserveHost: u.PreserveHost,
		Limits:   upstream.Limits{Min: u.Pool.Min, Max: u.Pool.Max, IdleTimeout: u.Pool.IdleTimeout, Wait: u.Pool.Wait, Upgraded: u.Pool.Upgraded},
		Timeouts: upstream.Timeouts{Connect: u.Timeouts.Connect, FirstByte: u.Timeouts.FirstByte, Idle: u.Timeouts.Idle, Total: u.Timeouts.Total},
		TLS:      upstream.TLS{ServerName: u.TLS.ServerName, InsecureSkipVerify: u.TLS.InsecureSkipVerify},
		HashOn:   hashOn(u.HashOn),
	}
	for _, t := range u.Targets {
		made.Targets = append(made.Targets, upstream.Target{URL: t.URL.String(), Weight: t.Weight})
	}
	if u.TLS.CA != "" {
		pem, err := os.ReadFile(u.TLS.CA)
		if err != nil {
			return made, fmt.Errorf("upstreams.%s.tls.ca: %w", name, err)
		}
		made.TLS.CA = pem
	}
	return made, nil
}

// hashOn returns the source of an upstream's hash in the words of package upstream.
func hashOn(h config.HashOn) string {
	if h.Name == "" {
		return string(h.Source)
	}
	return string(h.Source) + ":" + h.Name
}
