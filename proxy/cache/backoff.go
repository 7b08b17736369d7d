package cache

import (
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/store"
)

// backsOff reports whether e is served at once, and by which decision. It is true if the origin has
// failed for e lately and e may be served on that failure, or if a call for e has been pending for
// staleAfter. A request that demands validation of its own still has the origin asked.
func (c *Cache) backsOff(x *located, e *store.Entry, d cachepolicy.Decision, now time.Time) (stale cachepolicy.Decision, ok bool) {
	if last := c.fills.Failures.Last(x.Key.Hash, now); last != nil {
		if stale, ok := c.staleFor(x, e, d, &last.Answer); ok {
			return stale, true
		}
	}
	if c.fills.Pending.Age(x.Key.Hash) >= fill.StaleAfter {
		return c.staleFor(x, e, d, &fill.TimedOut)
	}
	return stale, false
}

// staleFor reports whether e may be served in place of the answer a, and by which decision.
func (c *Cache) staleFor(x *located, e *store.Entry, d cachepolicy.Decision, a *cachepolicy.Answer) (stale cachepolicy.Decision, ok bool) {
	why, ok := c.mayStay(x, e, d, a)
	if !ok {
		return stale, false
	}
	return x.Route.StaleDecision(e, c.Now(), why), true // x may have waited since d was made
}

// mayStay reports whether e may be served in place of the answer a, and for which reason.
func (c *Cache) mayStay(x *located, e *store.Entry, d cachepolicy.Decision, a *cachepolicy.Answer) (cachepolicy.Reason, bool) {
	if e == nil || d.Reason != cachepolicy.ReasonStale || x.directs() {
		return cachepolicy.ReasonNone, false
	}
	v := x.Route.Rules.Settle(&x.View, &e.Meta, a, c.Now(), 0)
	if a == &fill.TimedOut {
		v.Reason = cachepolicy.ReasonTimeout
	}
	return v.Reason, v.Effect == cachepolicy.KeepStale
}

// directs reports whether x has cache directives of its own, and the route obeys them.
func (x *located) directs() bool {
	return !x.Route.Rules.IgnoreClient && (len(x.HTTP.Header["Cache-Control"]) > 0 || len(x.HTTP.Header["Pragma"]) > 0)
}
