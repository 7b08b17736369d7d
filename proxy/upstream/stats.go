package upstream

// TargetStats is the present load of a target, and counts of its past.
type TargetStats struct {
	Target   string // scheme and authority
	Open     int    // connections
	Idle     int    // connections that no request uses; if a connection carries several requests, the connections beyond the number of requests
	InFlight int    // requests that have a slot
	Waiting  int    // requests that wait for one
	Beside   int    // requests that do not count in Max, and slots reserved for upgrades
	Tries    uint64 // tries that were begun
	Failures uint64 // tries that came to no response, without Unopened
	Unopened uint64 // tries that failed because the gateway had no open files left
}

// Stats tells of each target. The figures are taken one after the other, and may be of different
// moments.
func (p *Pool) Stats() []TargetStats {
	out := make([]TargetStats, len(p.targets))
	for i, t := range p.targets {
		waiting := int(t.slots.Waiting.Load())
		s := TargetStats{
			Target: t.Name, Open: int(t.endpoint.Open.Load()), Waiting: waiting, Beside: t.slots.Beside(), InFlight: max(0, int(t.slots.InFlight.Load())-waiting),
			Tries: t.tries.Load(), Failures: t.failures.Load(), Unopened: t.unopened.Load(),
		}
		s.Idle = max(0, s.Open-s.InFlight)
		out[i] = s
	}
	return out
}

// Plus is both together.
func (s TargetStats) Plus(o TargetStats) TargetStats {
	s.Open, s.Idle, s.InFlight, s.Waiting = s.Open+o.Open, s.Idle+o.Idle, s.InFlight+o.InFlight, s.Waiting+o.Waiting
	s.Beside += o.Beside
	s.Tries, s.Failures, s.Unopened = s.Tries+o.Tries, s.Failures+o.Failures, s.Unopened+o.Unopened
	return s
}
