package rate

import "time"

// Limit allows one request each Every on average, and Burst requests at once. It is the generic cell
// rate algorithm (GCRA), in which the state of a client is a single time: the time at which the
// client would be idle, that is at which its whole burst would be available again. Times are in
// nanoseconds.
//
// In any window of time w it accepts at most Burst + w/Every requests.
type Limit struct {
	Every time.Duration // above 0
	Burst int           // at least 1
}

// Take decides about a request at now of a client whose stored time is idle. It returns the time to
// store, also for a refused request, which is not charged.
//
// If the clock was put back, or the limit was made narrower, the stored time may lie beyond a used
// up burst. Then the client counts as one that has just used up its burst. So a step of the clock
// makes a client wait no longer than a used up burst does.
func (l Limit) Take(idle, now int64) (next int64, ok bool) {
	idle = l.clamp(idle, now)
	if next = idle + int64(l.Every); next > now+l.whole() {
		return idle, false
	}
	return next, true
}

// Left returns how many requests a client with the stored time could make at now.
func (l Limit) Left(idle, now int64) int {
	return int((now + l.whole() - l.clamp(idle, now)) / int64(l.Every))
}

// Wait returns how long a client with the stored time has to wait at now until its next request is
// accepted. It is 0 if that request would be accepted at once.
func (l Limit) Wait(idle, now int64) time.Duration {
	return time.Duration(max(0, l.clamp(idle, now)+int64(l.Every)-now-l.whole()))
}

// whole is the time in which a used up burst becomes available again.
func (l Limit) whole() int64 { return int64(l.Burst) * int64(l.Every) }

// clamp returns the stored time, or the nearest one that a client can have at now.
func (l Limit) clamp(idle, now int64) int64 { return min(max(idle, now), now+l.whole()) }
