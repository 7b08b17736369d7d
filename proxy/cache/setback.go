package cache

import (
	"encoding/binary"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

const (
	// holdDown is how long an origin that failed for an object is not asked for it again, where something stale may be served instead.
	// Without it every request would wait for the same timeout, one after the other.
	holdDown = time.Second

	setbackSlots = 1 << 12
)

// setback is a failure of an origin that was just met.
type setback struct {
	object [16]byte
	until  time.Time
	answer cachepolicy.Answer
}

// setbacks remembers the last failures. It forgets: two objects that fall into one slot push each other out, which costs one call. Safe for
// concurrent use.
type setbacks struct {
	slots [setbackSlots]atomic.Pointer[setback]
}

func (s *setbacks) slot(object [16]byte) *atomic.Pointer[setback] {
	return &s.slots[binary.LittleEndian.Uint16(object[:2])%setbackSlots]
}

// note remembers a as the object's, if it is a failure, and forgets an older one otherwise.
func (s *setbacks) note(object [16]byte, a *cachepolicy.Answer) {
	slot := s.slot(object)
	if a.Failure != cachepolicy.FailureNone || a.Status >= http.StatusInternalServerError {
		slot.Store(&setback{object, a.Received.Add(holdDown), cachepolicy.Answer{Failure: a.Failure, Status: a.Status}})
		return
	}
	if old := slot.Load(); old != nil && old.object == object {
		slot.CompareAndSwap(old, nil)
	}
}

// of is the object's failure of a moment ago, or nil.
func (s *setbacks) of(object [16]byte, now time.Time) *setback {
	if last := s.slot(object).Load(); last != nil && last.object == object && now.Before(last.until) {
		return last
	}
	return nil
}

// holdDown serves e at once where the origin has failed a moment ago and e would be served if it failed again. A request that wants e
// validated for reasons of its own still has the origin asked.
func (c *Cache) holdDown(x *exchange, e *store.Entry, d cachepolicy.Decision) *Reply {
	if e == nil || d.Reason != cachepolicy.ReasonStale || x.directs() {
		return nil
	}
	now := c.Now()
	last := c.setbacks.of(x.key.Hash, now)
	if last == nil {
		return nil
	}
	v := x.res.Rules.Settle(&x.q, &e.Meta, &last.answer, now, 0)
	if v.Effect != cachepolicy.KeepStale {
		return nil
	}
	d.Action, d.Reason = cachepolicy.ServeStale, v.Reason
	x.ev.Action = d.Action.String()
	return x.hit(e, d)
}

// directs reports whether x has directives of its own that are heard.
func (x *exchange) directs() bool {
	return !x.res.Rules.IgnoreClient && (len(x.r.Header["Cache-Control"]) > 0 || len(x.r.Header["Pragma"]) > 0)
}
