package proxy

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/build"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/fleet"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/pools"
	"github.com/penstock/penstock/proxy/snapshot"
	"github.com/penstock/penstock/proxy/write"
)

// live holds the state that outlives a Snapshot: stored responses, fills under way, and the
// connections of upstreams that did not change.
type live struct {
	fleet  *fleet.Member
	cache  *cache.Cache
	built  *build.State
	pools  *pools.Set
	random func() float64
	now    func() time.Time
	log    *slog.Logger

	queue       *write.Queue // of writes that are applied later; nil if there is no queue
	queueConfig config.WriteQueue
	dry         bool // true if the gateway only checks a configuration, so that no queue is opened
	applyWrite  func(context.Context, *write.Write, bool) write.Outcome
	tried       func(*write.Record, time.Duration)
}

func newLive(cfg *config.Config, o Options, random func() float64) (*live, error) {
	member, err := fleet.Join(cfg.Cache, o.Now, o.Log)
	if err != nil {
		return nil, err
	}
	made := cache.Config{Now: o.Now, Random: random, Log: o.Log, Name: Name, Filled: fillTold(o.Sink)}
	member.Connect(&made)
	c := build.NewCache(made)
	return &live{
		fleet: member, cache: c, pools: pools.NewSet(o.Now),
		built:  build.NewState(build.Config{Name: Name, Cache: c, Publish: member.Publish, TakeRate: member.TakeRate, Tracer: o.Tracer, Log: o.Log}),
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
	pools *pools.Change
	queue *write.Queue // set if this configuration is the first that needs a queue
	adopt func()       // has the state of routes outlive the snapshot
}

// compile returns the Snapshot of cfg, for which n was prepared.
func (n *generation) compile(cfg *config.Config) (s *snapshot.Snapshot, err error) {
	with := build.Resources{Pools: n.pools.Pools}
	if q := cmp.Or(n.queue, n.live.queue); q != nil {
		with.Writes = q.Store
	}
	s, n.adopt, err = n.live.built.Snapshot(cfg, with)
	return s, err
}

// prepare makes the resources that cfg needs and that do not exist yet.
func (l *live) prepare(cfg *config.Config) (*generation, error) {
	if err := l.fleet.Keeps(cfg.Cache); err != nil {
		return nil, err
	}
	next := &generation{live: l}
	var err error
	if next.pools, err = l.pools.Prepare(cfg.Upstreams); err != nil {
		return nil, err
	}
	if next.queue, err = l.openQueue(cfg); err != nil {
		next.discard()
		return nil, err
	}
	return next, nil
}

// commit makes the generation the running one. It closes the pools that the generation does not
// use, and their calls in flight continue.
func (n *generation) commit() {
	if n.queue != nil {
		n.live.queue = n.queue
		n.queue.Start()
	}
	if !n.live.dry {
		n.adopt()
	}
	n.pools.Commit()
}

// discard releases the resources of a configuration that will not run.
func (n *generation) discard() {
	n.pools.Discard()
	if n.queue != nil {
		_ = n.queue.Close(context.Background()) // it was never started
	}
}

// close ends the application of writes, which stay queued, then fills and refreshes, then the
// stores and connections that they use.
func (l *live) close(ctx context.Context) error {
	l.built.Close()
	var queued error
	if l.queue != nil {
		queued = l.queue.Close(ctx)
	}
	err := cmp.Or(l.cache.Close(ctx), queued)
	l.cache.CloseTunnels()
	l.pools.Close()
	l.fleet.Close()
	return err
}
