package write

import (
	"fmt"
	"net/http"
	"time"
)

// longestRetryAfter is the most that an upstream's Retry-After is heard.
const longestRetryAfter = time.Hour

// Outcome is what came of one try.
type Outcome struct {
	Status     int // of the upstream's answer; 0 with Err
	Location   string
	RetryAfter time.Duration
	Err        error // there was no answer
	Hopeless   bool  // Err is not going to go away
}

// settle is the state after a try. again says that it may have been sent before this try; random is in [0,1).
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
	if out.Hopeless || !passes(out, again) {
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

// succeeded reports whether a status says that the write was applied. 303 names where its result is (RFC 9110 §15.4.4).
func succeeded(status int) bool {
	return status >= 200 && status < 300 || status == http.StatusSeeOther
}

// passes reports whether it may go well another time: without an answer, and after one that speaks of the moment and not of the request. 409 is among
// them only when the write may be under way already: that is how it is answered while the first copy is at work (the Idempotency-Key draft, section 2.6).
func passes(out Outcome, again bool) bool {
	switch {
	case out.Err != nil, out.Status >= 500:
		return true
	case out.Status == http.StatusConflict:
		return again
	}
	return out.Status == http.StatusRequestTimeout || out.Status == http.StatusTooEarly || out.Status == http.StatusTooManyRequests
}

// delay is how long to wait after the n-th try: twice as long each time, with half of it left to chance so that what failed together does not come
// back together; and not before the upstream wants it.
func (p Policy) delay(n int, retryAfter time.Duration, random float64) time.Duration {
	d := p.Backoff
	for range n - 1 {
		if d = 2 * d; d >= p.MaxBackoff {
			break
		}
	}
	d = min(d, p.MaxBackoff)
	d = d/2 + time.Duration(random*float64(d/2))
	return max(d, min(retryAfter, longestRetryAfter))
}
