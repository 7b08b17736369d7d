package fill

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// HeadGrace is how long a fill waits for the head of the origin's answer after its client has
	// left and while no other client wants it. Clients with short timeouts retry, and then find the
	// answer.
	HeadGrace = 30 * time.Second
	// endGrace is how long a fill without a reader continues if the length of the body is known.
	// streamGrace applies if the length is unknown: a page that the origin generates while it sends
	// ends within that time, and an endless stream does not.
	endGrace    = 60 * time.Second
	streamGrace = 10 * time.Second
	// unbounded is the grace of a fill that is useful even without a reader. Only the timeouts of
	// the upstream bound it.
	unbounded time.Duration = -1
)

// errDeserted is the cause of a fill's end if no client wants its response any more.
var errDeserted = errors.New("every client that wanted the response has left")

// Attendance counts the clients of a fill, and ends the fill some time after the last client has
// left. It may be used concurrently.
type Attendance struct {
	End       func()
	Allowance *Allowance

	mu      sync.Mutex
	present int
	Grace   time.Duration
	timer   *time.Timer // runs while no client is present
	closed  bool
	taken   bool // true if the fill has a place of allowance
}

// change adds n to the number of clients. n is negative if clients leave.
func (a *Attendance) change(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.present += n
	a.review(false)
}

// allow sets how long the fill may continue without a client. A changed grace restarts a running
// timer.
func (a *Attendance) allow(grace time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	again := a.Grace != grace
	a.Grace = grace
	a.review(again)
}

// Close ends the count when the fill ends. The timer cannot end anything afterwards.
func (a *Attendance) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.rest()
}

// review starts or stops the timer. If again is true, it restarts a running timer. The caller holds
// the lock.
func (a *Attendance) review(again bool) {
	if a.closed || a.End == nil {
		return
	}
	if a.present > 0 || a.Grace < 0 {
		a.rest()
		return
	}
	if a.timer != nil && !again {
		return
	}
	grace := a.Grace
	if a.taken = a.taken || a.Allowance.take(); !a.taken {
		grace = 0
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	a.timer = time.AfterFunc(grace, a.expire)
}

// rest stops the timer and gives the place of the allowance back. The caller holds the lock.
func (a *Attendance) rest() {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	if a.taken {
		a.taken = false
		a.Allowance.give()
	}
}

// expire ends the fill, unless a client has arrived at the last moment.
func (a *Attendance) expire() {
	a.mu.Lock()
	over := !a.closed && a.present <= 0 && a.Grace >= 0
	a.mu.Unlock()
	if over {
		a.End()
	}
}

// Allowance bounds how many fills of one upstream may continue without a client at the same time.
// Otherwise a client could occupy all connections of the upstream if it opens many slow responses
// and leaves. A nil Allowance sets no bound. It may be used concurrently.
type Allowance struct {
	most int64
	used atomic.Int64
}

// NewAllowance returns an Allowance for most fills, at least one.
func NewAllowance(most int) *Allowance { return &Allowance{most: max(1, int64(most))} }

// take reserves one place. It is false if all places are taken.
func (a *Allowance) take() bool {
	if a == nil || a.used.Add(1) <= a.most {
		return true
	}
	a.used.Add(-1)
	return false
}

// give returns a place that take has reserved.
func (a *Allowance) give() {
	if a != nil {
		a.used.Add(-1)
	}
}
