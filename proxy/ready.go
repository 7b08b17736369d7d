package proxy

import (
	"context"
	"time"

	"github.com/penstock/penstock/proxy/fleet"
)

// maxProbed is how many upstreams one probe may name.
const maxProbed = 16

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
	for _, name := range names {
		if err := g.live.pools.Reach(ctx, name); err != nil {
			missing[name] = err.Error()
			g.options.Log.Debug("not ready", "upstream", name, "error", err)
		}
	}
	return missing
}
