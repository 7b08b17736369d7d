package proxy

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/penstock/penstock/proxy/fleet"
)

const (
	// reachTime bounds how long a probe of readiness waits for an upstream.
	reachTime = time.Second
	// reachHolds is how long a probe uses the result of an earlier one. Probes need no token, so it
	// also bounds how often they make the gateway connect to an upstream.
	reachHolds = 500 * time.Millisecond
	// maxProbed is how many upstreams one probe may name.
	maxProbed = 16
)

var errNoUpstream = errors.New("the configuration has no such upstream")

// reachability finds out whether upstreams accept connections.
type reachability struct {
	calls singleflight.Group
	mu    sync.Mutex
	last  map[string]reached // by upstream; its size is bounded by the configurations that have run
}

// reached is the result of trying to reach an upstream.
type reached struct {
	pool *pool
	err  error
	at   time.Time
}

// of returns nil if a target of the pool accepts connections, and otherwise the error of the
// attempt.
func (r *reachability) of(ctx context.Context, name string, p *pool, now func() time.Time) error {
	r.mu.Lock()
	last, ok := r.last[name]
	r.mu.Unlock()
	if ok && last.pool == p && now().Sub(last.at) < reachHolds {
		return last.err
	}
	call := r.calls.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), reachTime) // other probes wait for it too, so the end of one probe must not cancel it
		defer cancel()
		err := p.Reach(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.last == nil {
			r.last = make(map[string]reached)
		}
		r.last[name] = reached{p, err, now()}
		return nil, err
	})
	select {
	case done := <-call:
		return done.Err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// readyFor reports whether g takes traffic. missing has the upstreams that can't be reached, each
// with the reason.
func (g *Gateway) readyFor(ctx context.Context, upstreams []string) (ready bool, missing map[string]string) {
	return g.ready.Load(), g.unreached(ctx, upstreams)
}

// readiness adds the details of /readyz for operators to answer, if the gateway takes traffic.
// Without Redis it still takes traffic, each instance on its own. Without a usable queue of writes
// it still serves reads.
func (g *Gateway) readiness(answer map[string]any) {
	if err, ok := g.queueProblem(); ok {
		answer["writes"] = map[string]any{"state": "up"}
		if err != nil {
			answer["writes"] = map[string]any{"state": "refused", "error": err.Error()}
		}
	}
	if f, ok := g.live.fleet.State(); ok {
		answer["redis"] = redisDetails(&f)
	}
}

// redisDetails returns the details of Redis for /readyz.
func redisDetails(f *fleet.State) map[string]any {
	state := map[string]any{"state": "up", "server": f.Server, "since": f.Since.UTC().Format(time.RFC3339), "purges_current": f.Current}
	if !f.Usable {
		state["state"] = "degraded"
		if f.Err != nil {
			state["error"] = f.Err.Error()
		}
	}
	if f.Missed != "" {
		purges := map[string]any{"state": f.Missed, "since": f.MissedSince.UTC().Format(time.RFC3339)}
		if f.MissedErr != nil {
			purges["error"] = f.MissedErr.Error()
		}
		state["purges"] = purges
	}
	return state
}

// unreached returns the named upstreams that can't be reached, each with the reason.
func (g *Gateway) unreached(ctx context.Context, names []string) map[string]string {
	if len(names) == 0 {
		return nil
	}
	missing := make(map[string]string)
	if len(names) > maxProbed {
		missing["*"] = "a probe names at most 16 upstreams"
		return missing
	}
	pools := g.snapshot.Load().pools
	for _, name := range names {
		err := errNoUpstream
		if p := pools[name]; p != nil {
			err = g.reachable.of(ctx, name, p, g.options.Now)
		}
		if err != nil {
			missing[name] = err.Error()
			g.options.Log.Debug("not ready", "upstream", name, "error", err)
		}
	}
	return missing
}
