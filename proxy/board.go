package proxy

import (
	"maps"
	"slices"

	"github.com/penstock/penstock/proxy/board"
	"github.com/penstock/penstock/proxy/fleet"
)

// newBoard returns the operators' board of g.
func (g *Gateway) newBoard(slow *board.Slow) *board.Board {
	return board.New(board.Config{
		Read: g.meter.Read, Slow: slow, Upstreams: g.upstreams, Tiers: g.tiers, Ready: g.ready.Load, Version: g.options.Version, Now: g.options.Now,
	})
}

// upstreams returns the state of the running configuration's upstreams, sorted by name.
func (g *Gateway) upstreams() []board.Upstream {
	pools := g.snapshot.Load().pools
	var out []board.Upstream
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		out = append(out, upstreamOf(name, pools[name]))
	}
	return out
}

func upstreamOf(name string, p *pool) board.Upstream {
	status, made := p.Status(), p.Config()
	u := board.Upstream{
		Name: name, Protocol: string(made.Protocol), Balance: string(made.Balance), InFlight: status.InFlight, Limit: made.Limits.Max, Targets: []board.Target{},
	}
	for i := range status.Targets {
		t := &status.Targets[i]
		one := board.Target{URL: t.URL, Weight: t.Weight, State: "up", InFlight: t.InFlight, Requests: t.Requests, Failures: t.Failures, LastError: t.Error}
		switch {
		case t.Failing:
			one.State = "failing"
		case t.Requests == 0:
			one.State = "unused"
		}
		if !t.FailedAt.IsZero() {
			at := t.FailedAt.UTC()
			one.FailedAt = &at
		}
		u.Targets = append(u.Targets, one)
	}
	return u
}

// tiers returns the state of the tiers.
func (g *Gateway) tiers() []board.Tier {
	s := g.live.fleet.Memory.Stats()
	out := []board.Tier{{
		Name: "memory", State: "up", Objects: s.Objects, Bytes: s.Bytes, Size: g.live.size.Size, Hits: s.Hits, Misses: s.Misses,
		Evicted: s.Evicted, Rejected: s.Rejected, Expired: s.Expired,
	}}
	if f, ok := g.live.fleet.State(); ok {
		out = append(out, redisTier(&f))
	}
	return out
}

func redisTier(f *fleet.State) board.Tier {
	since := f.Since.UTC()
	t := board.Tier{Name: "redis", State: "up", Server: f.Server, Since: &since}
	if !f.Up {
		t.State = "degraded"
		if f.Err != nil {
			t.Error = f.Err.Error()
		}
	}
	if f.Missed != "" {
		lost := f.MissedSince.UTC()
		t.State, t.Error, t.Since = "degraded", f.Missed, &lost
		if f.MissedErr != nil {
			t.Error += ": " + f.MissedErr.Error()
		}
	}
	return t
}
