package shared

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// State is how Redis is found to be.
type State uint8

const (
	Connecting State = iota // not known yet: calls are made
	Up                      // it answers: calls are made
	Down                    // it does not: calls are skipped, and it is probed in the background
)

// String is the state's name, as /readyz shows it.
func (s State) String() string { return [...]string{"connecting", "up", "down"}[min(s, Down)] }

// Health is the state of Redis as this instance sees it.
type Health struct {
	State  State
	Since  time.Time // when it came into this state
	Err    error     // what went wrong last, nil when nothing has
	ErrAt  time.Time // when that was
	Server string    // where it is, without credentials
}

// What the breaker counts. A failure weighs as much as the successes that make up for it, so that it opens after a few failures in a row, and
// also when a part of a cluster fails every third call, but not for one lost call in ten.
const (
	failureWeight = 8
	openAt        = 4 * failureWeight
)

// breaker decides whether calls are made at all. Deciding takes one load; noting a success another one.
type breaker struct {
	state atomic.Uint32
	score atomic.Int32
	wake  chan struct{} // holds a token when it has opened

	mu    sync.Mutex
	since time.Time
	err   error
	errAt time.Time
}

func (b *breaker) init(now time.Time) {
	b.since = now
	b.wake = make(chan struct{}, 1)
}

func (b *breaker) skips() bool { return State(b.state.Load()) == Down }

func (b *breaker) success() {
	if n := b.score.Load(); n > 0 {
		b.score.CompareAndSwap(n, n-1) // one that is lost to another's change is of no weight
	}
}

// failure notes a failed call and reports whether it has opened the breaker.
func (b *breaker) failure(err error, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err, b.errAt = err, now
	if b.skips() {
		return false
	}
	if b.score.Add(failureWeight) < openAt && !isRefusal(err) {
		return false
	}
	b.set(Down, now)
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return true
}

// open is for a probe that has failed, and reports whether the state is new.
func (b *breaker) open(err error, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err, b.errAt = err, now
	if b.skips() {
		return false
	}
	b.set(Down, now)
	return true
}

// close is for a probe that went well, and reports whether the state is new.
func (b *breaker) close(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if State(b.state.Load()) == Up {
		return false
	}
	b.set(Up, now)
	return true
}

func (b *breaker) set(s State, now time.Time) {
	b.since = now
	b.score.Store(0)
	b.state.Store(uint32(s))
}

func (b *breaker) health() Health {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Health{State: State(b.state.Load()), Since: b.since, Err: b.err, ErrAt: b.errAt}
}

// isRefusal reports whether the server itself says that it can't do its work at all, which needs no second call to be believed. A lack of memory is
// none: it can still be read from.
func isRefusal(err error) bool {
	for _, prefix := range [...]string{
		"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "MISCONF", "NOREPLICAS", "NOAUTH", "WRONGPASS", "NOPERM",
	} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}
