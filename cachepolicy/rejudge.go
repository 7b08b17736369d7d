package cachepolicy

import "net/http"

// Rejudge applies the current rules to the facts m of a stored response with the stored fields h.
// It returns m with the lifetime and the stale windows that the rules give it now. ok is false if
// the rules would no longer store the response. chance is the share of the jitter that applies. A
// lifetime from the rules counts as if they had been in force when the response arrived. A custom
// error page keeps the lifetime from its own rule.
func (r *Rules) Rejudge(m Meta, h http.Header, chance float64) (now Meta, ok bool) {
	if m.Flags&FlagSubstitute != 0 {
		return m, true
	}
	c := r.control(h)
	if r.statusRefusal(m.Status, h, &c) != ReasonNone {
		return m, false
	}
	named, by := r.namedLifetime(m.Status, h, &c, m.Received)
	lifetime := r.bounded(named, by)
	m.Lifetime = r.jitter(lifetime, chance)
	m.StaleRevalid, m.StaleError = r.windows(&c, lifetime)
	m.Flags &^= FlagHeuristic | FlagDeclared
	if by == LifetimeGuess {
		m.Flags |= FlagHeuristic
	}
	if c.declares(named, lifetime, by) {
		m.Flags |= FlagDeclared
	}
	return m, true
}
