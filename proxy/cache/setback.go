package cache

import (
	"encoding/binary"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/store"
)

const (
	// holdDown is the time for which an origin that failed for an object is not asked for it again,
	// if a stale copy may be served instead.
	holdDown = time.Second
	// distrust is the time after a failure in which the stale copy is served at once, while one
	// call in the background finds out if the origin is back. Without it one client after the other
	// would wait for the same timeout. Each failure begins this time anew.
	distrust = time.Minute
	// staleAfter is the longest time that clients wait for a call that revalidates a stored
	// response, if that response may be served on errors. It also holds for the client whose
	// request made the call. RFC 5861 section 4 allows a stale response in any situation that would
	// end in a 504. It can take a minute to see if this situation is one, too late for a client, so
	// a call that takes longer than staleAfter counts as hanging. The call goes on, and its
	// response is there for the next client.
	staleAfter = time.Second

	setbackSlots = 1 << 12
)

// setback is a recent failure of an origin.
type setback struct {
	object [16]byte
	retry  time.Time // when the origin may be asked again
	until  time.Time // when the failure is forgotten
	answer cachepolicy.Answer
	count  int              // failures in a row, each before the last one was forgotten
	shared *deliver.Failure // the failure for the requests that have waited for the call; nil: they have been told
}

// setbacks remembers the latest failures. It is lossy: two objects that share a slot push each
// other out, which costs one call. It is safe for concurrent use.
type setbacks struct {
	slots [setbackSlots]atomic.Pointer[setback]
}

func (s *setbacks) slot(object [16]byte) *atomic.Pointer[setback] {
	return &s.slots[binary.LittleEndian.Uint16(object[:2])%setbackSlots]
}

// note remembers a for the object if it is a failure. Otherwise it forgets the object's earlier
// failure.
func (s *setbacks) note(object [16]byte, a *cachepolicy.Answer) {
	slot := s.slot(object)
	if a.Failure != cachepolicy.FailureNone || a.Status >= http.StatusInternalServerError {
		count := 1
		if last := s.of(object, a.Received); last != nil {
			count += last.count
		}
		slot.Store(&setback{
			object: object, retry: a.Received.Add(holdDown), until: a.Received.Add(distrust),
			answer: cachepolicy.Answer{Failure: a.Failure, Status: a.Status}, count: count,
		})
		return
	}
	if old := slot.Load(); old != nil && old.object == object {
		slot.CompareAndSwap(old, nil)
	}
}

// share sets f as the failure that the requests that waited for the object's last failed call
// share.
func (s *setbacks) share(object [16]byte, f *deliver.Failure) {
	slot := s.slot(object)
	if last := slot.Load(); last != nil && last.object == object {
		told := *last
		told.shared = f
		slot.CompareAndSwap(last, &told)
	}
}

// hopeless returns the failure that a request shares after it has waited for a failed call, if the
// calls of other waiting requests have failed too. Otherwise it returns nil. Without it each
// waiting request would make the same vain call, one after the other.
func (s *setbacks) hopeless(object [16]byte, now time.Time) *deliver.Failure {
	if last := s.of(object, now); last != nil && last.count >= maxRounds && now.Before(last.retry) {
		return last.shared
	}
	return nil
}

// of returns the object's last failure, or nil if no failure is remembered.
func (s *setbacks) of(object [16]byte, now time.Time) *setback {
	if last := s.slot(object).Load(); last != nil && last.object == object && now.Before(last.until) {
		return last
	}
	return nil
}

// rests reports whether the origin must not be asked for the object at the moment.
func (s *setbacks) rests(object [16]byte, now time.Time) bool {
	last := s.of(object, now)
	return last != nil && now.Before(last.retry)
}

// backsOff reports whether e is served at once, and by which decision. It is true if the origin has
// failed for e lately and e may be served on that failure, or if a call for e has been pending for
// staleAfter. A request that demands validation of its own still has the origin asked.
func (c *Cache) backsOff(x *request, e *store.Entry, d cachepolicy.Decision, now time.Time) (stale cachepolicy.Decision, ok bool) {
	if last := c.setbacks.of(x.key.Hash, now); last != nil {
		if stale, ok := c.staleFor(x, e, d, &last.answer); ok {
			return stale, true
		}
	}
	if c.pending.age(x.key.Hash) >= staleAfter {
		return c.staleFor(x, e, d, &timedOut)
	}
	return stale, false
}

// timedOut is the answer that a call counts as if it takes too long. Its status requires a
// stale-if-error window that the origin or the operator has set.
var timedOut = cachepolicy.Answer{Status: http.StatusGatewayTimeout}

// staleFor reports whether e may be served in place of the answer a, and by which decision.
func (c *Cache) staleFor(x *request, e *store.Entry, d cachepolicy.Decision, a *cachepolicy.Answer) (stale cachepolicy.Decision, ok bool) {
	why, ok := c.mayStay(x, e, d, a)
	if !ok {
		return stale, false
	}
	return x.res.StaleDecision(e, c.Now(), why), true // x may have waited since d was made
}

// mayStay reports whether e may be served in place of the answer a, and for which reason.
func (c *Cache) mayStay(x *request, e *store.Entry, d cachepolicy.Decision, a *cachepolicy.Answer) (cachepolicy.Reason, bool) {
	if e == nil || d.Reason != cachepolicy.ReasonStale || x.directs() {
		return cachepolicy.ReasonNone, false
	}
	v := x.res.Rules.Settle(&x.q, &e.Meta, a, c.Now(), 0)
	if a == &timedOut {
		v.Reason = cachepolicy.ReasonTimeout
	}
	return v.Reason, v.Effect == cachepolicy.KeepStale
}

// directs reports whether x has cache directives of its own, and the route obeys them.
func (x *request) directs() bool {
	return !x.res.Rules.IgnoreClient && (len(x.r.Header["Cache-Control"]) > 0 || len(x.r.Header["Pragma"]) > 0)
}
