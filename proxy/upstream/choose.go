package upstream

import (
	"net/http"
	"time"
)

// choose picks the target for r among those that r has not tried yet.
func (p *Pool) choose(r *http.Request, tried []bool, now time.Time) int {
	if len(p.targets) == 1 {
		return 0
	}
	for {
		i := p.pick(r, p.states(tried, now))
		if p.targets[i].health.chosen(now) {
			return i
		}
	}
}

func (p *Pool) pick(r *http.Request, states []state) int {
	in := candidates(states)
	if p.config.Balance == BalanceRoundRobin {
		return turnOf(p.order, p.turn.Add(1)-1, in)
	}
	if in == nil {
		return p.balance(r, states, p.ids)
	}
	theirs, ids := make([]state, len(in)), make([]uint64, len(in))
	for k, i := range in {
		theirs[k], ids[k] = states[i], p.ids[i]
	}
	return in[p.balance(r, theirs, ids)]
}

func (p *Pool) balance(r *http.Request, states []state, ids []uint64) int {
	switch p.config.Balance {
	case BalanceLeastConn:
		return pickLeastConn(states, p.random())
	case BalanceHash:
		if key := p.hashOn.value(r); key != "" {
			return pickHash(states, ids, hashString(key))
		}
	}
	// Also for a request that has nothing to hash: all of those on one target would be no balance.
	return pickP2C(states, p.random())
}

func (p *Pool) states(tried []bool, now time.Time) []state {
	out := make([]state, len(p.targets))
	for i, t := range p.targets {
		out[i] = state{weight: t.weight, inFlight: int(t.slots.InFlight.Load()), tried: tried != nil && tried[i], out: t.health.load().out(now)}
	}
	return out
}
