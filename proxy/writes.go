package proxy

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/write"
)

// needsQueue reports whether cfg accepts writes for later, or names a file that may hold writes
// accepted earlier.
func needsQueue(cfg *config.Config) bool {
	return cfg.Writes.Path != "" || slices.ContainsFunc(cfg.Routes, func(r *config.Route) bool { return r.Writes.Policy == config.WriteBehind })
}

// openQueue opens the queue of writes if cfg needs one and it is not open. It returns nil
// otherwise, and an error if the settings of an open queue have changed. Once open, the queue
// stays, because accepted writes must be applied.
func (l *live) openQueue(cfg *config.Config) (fresh *write.Queue, err error) {
	if l.queue != nil {
		if !reflect.DeepEqual(cfg.Writes, l.queueConfig) {
			return nil, errors.New("writes can't be changed while the gateway runs: restart it")
		}
		return nil, nil
	}
	if !needsQueue(cfg) || l.dry {
		return nil, nil
	}
	l.queueConfig = cfg.Writes
	return write.New(write.Config{
		Store: l.fleet.OpenWrites(cfg.Writes), Workers: cfg.Writes.Workers, Apply: l.applyWrite, Tried: l.tried, Now: time.Now, Random: l.random, Log: l.log,
	}), nil
}

// applyWrite applies an accepted write by the running configuration, whichever accepted it.
func (g *Gateway) applyWrite(ctx context.Context, w *write.Write, _ bool) write.Outcome {
	return g.snapshot.Load().ApplyWrite(ctx, w)
}

// tried reports an attempt to apply a write to the Sink, if the Sink takes such reports.
func (g *Gateway) tried(r *write.Record, took time.Duration) {
	sink, ok := g.options.Sink.(observe.WriteSink)
	if !ok {
		return
	}
	sink.Tried(&observe.Write{
		ID: r.ID, Route: r.Route, Method: r.Method, State: string(r.Phase), Status: r.Status, Tries: r.Tries, Took: took,
		Waited: r.Updated.Sub(r.Accepted), Header: r.Header,
	})
}

// writes returns the queue of the running configuration, or nil if it has no queue.
func (g *Gateway) writes() write.Store { return g.snapshot.Load().Writes() }

// queueProblem returns the reason why no writes can be accepted now, or nil if they can. ok is
// false if there is no queue.
func (g *Gateway) queueProblem() (err error, ok bool) {
	s := g.writes()
	if s == nil {
		return nil, false
	}
	return write.Problem(s), true
}

// QueuedWrites returns the figures of the queue of writes: the number of pending writes, the wait
// of the oldest, and the number of dead letters. ok is false if there is no queue or it can't be
// read.
func (g *Gateway) QueuedWrites(ctx context.Context) (pending int, oldest time.Duration, dead int, ok bool) {
	s := g.writes()
	if s == nil {
		return 0, 0, 0, false
	}
	stats, err := s.Stats(ctx)
	return stats.Pending, stats.Oldest, stats.Dead, err == nil
}
