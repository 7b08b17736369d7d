package figures

import (
	"maps"
	"slices"

	"github.com/penstock/penstock/proxy/board"
	"github.com/penstock/penstock/proxy/fleet"
	"github.com/penstock/penstock/proxy/pools"
)

// upstreams returns the state of the running configuration's upstreams, sorted by name.
func (f *Figures) upstreams() []board.Upstream {
	running := f.watched.Pools.Running()
	var out []board.Upstream
	for _, name := range slices.Sorted(maps.Keys(running)) {
		out = append(out, upstreamOf(name, running[name]))
	}
	return out
}

func upstreamOf(name string, p *pools.Pool) board.Upstream {
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
func (f *Figures) tiers() []board.Tier {
	s := f.watched.Fleet.Memory.Stats()
	out := []board.Tier{{
		Name: "memory", State: "up", Objects: s.Objects, Bytes: s.Bytes, Size: f.watched.Fleet.Limits().Size, Hits: s.Hits, Misses: s.Misses,
		Evicted: s.Evicted, Rejected: s.Rejected, Expired: s.Expired,
	}}
	if state, ok := f.watched.Fleet.State(); ok {
		out = append(out, redisTier(&state))
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
