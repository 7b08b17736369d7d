package write

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// maxRetryAfter limits the upstream's Retry-After.
const maxRetryAfter = time.Hour

// Outcome is the result of one attempt.
type Outcome struct {
	Status     int // of the upstream's response; 0 if Err is set
	Location   string
	RetryAfter time.Duration
	Err        error // the reason for which there was no response
	Hopeless   bool  // true if Err is permanent
}

// settle returns the state after an attempt. again is true if the write may have been sent before
// this attempt. random is in [0,1).
func (p Policy) settle(before State, out Outcome, again bool, now time.Time, random float64) State {
	s := State{Tries: before.Tries + 1, Status: out.Status, Updated: now}
	switch {
	case out.Err == nil && succeeded(out.Status):
		s.Phase, s.Location = Done, out.Location
		return s
	case out.Err != nil:
		s.Reason = out.Err.Error()
	default:
		s.Reason = fmt.Sprintf("the upstream answers %d %s", out.Status, http.StatusText(out.Status))
	}
	if out.Hopeless || !temporary(out, again) && !slices.Contains(p.RetryOn, out.Status) {
		s.Phase = Dead
		return s
	}
	if s.Tries > p.Retries {
		s.Phase, s.Reason = Dead, fmt.Sprintf("given up after %d tries: %s", s.Tries, s.Reason)
		return s
	}
	s.Phase, s.Next = Retrying, now.Add(p.delay(s.Tries, out.RetryAfter, random))
	return s
}

// waits reports whether the next attempt is not due yet. If the state is newer than now, a clock that
// was ahead has written it. Its Next is meaningless then, and the attempt is due.
func (s State) waits(now time.Time) bool { return !s.Updated.After(now) && s.Next.After(now) }

// succeeded reports whether the status means that the write was applied. 303 names the location of
// the result (RFC 9110 §15.4.4).
func succeeded(status int) bool {
	return status >= 200 && status < 300 || status == http.StatusSeeOther
}

// temporary reports whether a later attempt may succeed: if there was no response, or if the status
// describes a temporary condition and not the request. 409 is temporary only if the write may
// already be in progress, because servers answer 409 while the first copy is being processed
// (Idempotency-Key draft, section 2.6).
func temporary(out Outcome, again bool) bool {
	switch {
	case out.Err != nil, out.Status >= 500:
		return true
	case out.Status == http.StatusConflict:
		return again
	}
	return out.Status == http.StatusRequestTimeout || out.Status == http.StatusTooEarly || out.Status == http.StatusTooManyRequests
}

// delay returns the pause after the n-th attempt. It doubles each time. Half of it is random, so
// that writes that failed together are not repeated together. It is never shorter than the
// upstream's Retry-After.
func (p Policy) delay(n int, retryAfter time.Duration, random float64) time.Duration {
	d := p.Backoff
	for range n - 1 {
		if d = 2 * d; d >= p.MaxBackoff {
			break
		}
	}
	d = min(d, p.MaxBackoff)
	d = d/2 + time.Duration(random*float64(d/2))
	return max(d, min(retryAfter, maxRetryAfter))
}
