package upstream

// TargetStats is what a target of a Pool is at, and what it has done.
type TargetStats struct {
	Target   string // scheme and authority
	Open     int    // connections
	Idle     int    // connections that no exchange uses; where a connection carries several, those beyond the number of exchanges
	InFlight int    // exchanges that have a slot
	Waiting  int    // requests that wait for one
	Tries    uint64 // exchanges that were begun
	Failures uint64 // exchanges that came to no response
}

// Stats tells of each target. The figures are taken one after the other, and may be of different moments.
func (p *Pool) Stats() []TargetStats {
	out := make([]TargetStats, len(p.targets))
	for i, t := range p.targets {
		waiting := int(t.waiting.Load())
		s := TargetStats{
			Target: t.name, Open: int(t.end.open.Load()), Waiting: waiting, InFlight: max(0, int(t.inFlight.Load())-waiting),
			Tries: t.tries.Load(), Failures: t.failures.Load(),
		}
		s.Idle = max(0, s.Open-s.InFlight)
		out[i] = s
	}
	return out
}

// Plus is both together.
func (s TargetStats) Plus(o TargetStats) TargetStats {
	s.Open, s.Idle, s.InFlight, s.Waiting = s.Open+o.Open, s.Idle+o.Idle, s.InFlight+o.InFlight, s.Waiting+o.Waiting
	s.Tries, s.Failures = s.Tries+o.Tries, s.Failures+o.Failures
	return s
}
