package fill

import (
	"encoding/binary"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
)

const (
	// backoff is the time for which an origin that failed for an object is not asked for it again,
	// if a stale copy may be served instead.
	backoff = time.Second
	// distrust is the time after a failure in which the stale copy is served at once, while one
	// call in the background finds out if the origin is back. Without it one client after the other
	// would wait for the same timeout. Each failure begins this time anew.
	distrust = time.Minute
	// StaleAfter is the longest time that clients wait for a call that revalidates a stored
	// response, if that response may be served on errors. It also holds for the client whose
	// request made the call. RFC 5861 section 4 allows a stale response in any situation that would
	// end in a 504. It can take a minute to see if this situation is one, too late for a client, so
	// a call that takes longer than StaleAfter counts as hanging. The call goes on, and its
	// response is there for the next client.
	StaleAfter = time.Second

	failureSlots = 1 << 12
)

// recentFailure is a recent failure of an origin.
type recentFailure struct {
	object [16]byte
	retry  time.Time // when the origin may be asked again
	until  time.Time // when the failure is forgotten
	Answer cachepolicy.Answer
	count  int              // failures in a row, each before the last one was forgotten
	shared *deliver.Failure // the failure for the requests that have waited for the call; nil: they have been told
}

// RecentFailures remembers the latest failures. It is lossy: two objects that share a slot push each
// other out, which costs one call. It is safe for concurrent use.
type RecentFailures struct {
	slots [failureSlots]atomic.Pointer[recentFailure]
}

func (s *RecentFailures) slot(object [16]byte) *atomic.Pointer[recentFailure] {
	return &s.slots[binary.LittleEndian.Uint16(object[:2])%failureSlots]
}

// Note remembers a for the object if it is a failure. Otherwise it forgets the object's earlier
// failure.
func (s *RecentFailures) Note(object [16]byte, a *cachepolicy.Answer) {
	slot := s.slot(object)
	if a.Failure != cachepolicy.FailureNone || a.Status >= http.StatusInternalServerError {
		count := 1
		if last := s.Last(object, a.Received); last != nil {
			count += last.count
		}
		slot.Store(&recentFailure{
			object: object, retry: a.Received.Add(backoff), until: a.Received.Add(distrust),
			Answer: cachepolicy.Answer{Failure: a.Failure, Status: a.Status}, count: count,
		})
		return
	}
	if old := slot.Load(); old != nil && old.object == object {
		slot.CompareAndSwap(old, nil)
	}
}

// share sets f as the failure that the requests that waited for the object's last failed call
// share.
func (s *RecentFailures) share(object [16]byte, f *deliver.Failure) {
	slot := s.slot(object)
	if last := slot.Load(); last != nil && last.object == object {
		told := *last
		told.shared = f
		slot.CompareAndSwap(last, &told)
	}
}

// Repeated returns the failure that a request shares after it has waited for a failed call, if the
// calls of other waiting requests have failed too. Otherwise it returns nil. Without it each
// waiting request would make the same vain call, one after the other.
func (s *RecentFailures) Repeated(object [16]byte, now time.Time) *deliver.Failure {
	if last := s.Last(object, now); last != nil && last.count >= MaxRounds && now.Before(last.retry) {
		return last.shared
	}
	return nil
}

// Last returns the object's last failure, or nil if no failure is remembered.
func (s *RecentFailures) Last(object [16]byte, now time.Time) *recentFailure {
	if last := s.slot(object).Load(); last != nil && last.object == object && now.Before(last.until) {
		return last
	}
	return nil
}

// BacksOff reports whether the origin must not be asked for the object at the moment.
func (s *RecentFailures) BacksOff(object [16]byte, now time.Time) bool {
	last := s.Last(object, now)
	return last != nil && now.Before(last.retry)
}

// TimedOut is the answer that a call counts as if it takes too long. Its status requires a
// stale-if-error window that the origin or the operator has set.
var TimedOut = cachepolicy.Answer{Status: http.StatusGatewayTimeout}
