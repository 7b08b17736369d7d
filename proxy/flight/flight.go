package flight

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Outcome is how a flight has ended, or Shared while it is announced.
type Outcome uint8

const (
	Retry  Outcome = iota // zero value: the leader vanished; a follower may start another flight, once
	Shared                // the head has been announced, and the body may be read
	Done                  // ended well without a body to share (a 304 freshened the stored response): look up the key again
	Solo                  // the response is not shareable: each follower asks the origin itself
	Failed                // the origin failed, and followers share the error
)

var (
	// ErrTooManyWaiters is returned by Join and Succeed if the flight has the maximum number of
	// waiters.
	ErrTooManyWaiters = errors.New("flight: too many waiters")
	// ErrVanished is returned to followers if the leader ended the flight without a result.
	ErrVanished = errors.New("flight: the leader ended before the body was complete")
	// ErrEnded is returned by Write after End.
	ErrEnded = errors.New("flight: written to after its end")
	// ErrNotAnnounced is returned by Write before Announce.
	ErrNotAnnounced = errors.New("flight: written to before its head was announced")
	// ErrAbandoned is returned by Write if the body exceeds the limit and has no reader left.
	ErrAbandoned = errors.New("flight: too large to be kept, and no reader is left")
	// ErrTooLate is returned to a reader that starts after the beginning of the body was dropped.
	ErrTooLate = errors.New("flight: the beginning of the body has been dropped")
	// ErrSlow is returned to a reader that made no progress while it delayed others.
	ErrSlow = errors.New("flight: reader cut off: it made no progress while others waited")
	// ErrClosed is returned to a reader after its Close.
	ErrClosed = errors.New("flight: read after close")
)

// DefaultSlowReader applies if Group.SlowReader is zero.
const DefaultSlowReader = 5 * time.Second

// Group holds the open flights, at most one per key. The zero value is ready for use. Set the
// fields before the first Join.
type Group[K comparable, H any] struct {
	// SlowReader is how long a reader may make no progress while others wait for it, once the body
	// exceeds the limit. 0 means DefaultSlowReader. If no other reader waits, a reader is never cut
	// off.
	SlowReader time.Duration
	// Now is the clock that measures the progress of readers. nil means time.Now.
	Now func() time.Time

	mu      sync.Mutex
	flights map[K]*shared[H]
}

// shared is the state of a flight that all its places share.
type shared[H any] struct {
	spool
	head    H // written once, before spool.announced is set
	outcome Outcome
	began   time.Time
	// generation is the number of earlier flights that this one has succeeded; see Succeed.
	generation int
}

// Flight is the place of one caller in a flight: the leader's or a follower's. Methods may be
// called concurrently.
type Flight[K comparable, H any] struct {
	group *Group[K, H]
	key   K
	*shared[H]
	lead bool
	// The spool's lock guards opened and left.
	opened bool // true if a reader was taken, so that the place no longer counts as about to read
	left   bool
}

// Join takes a place in the flight of k, or starts a flight. If lead is true, the caller must make
// sure that End is called in all cases. A follower must call Leave when it is done. If maxWaiters
// followers (0 means no limit) already wait for the head, Join returns ErrTooManyWaiters. Once the
// head is announced, followers no longer wait and the limit does not apply.
func (g *Group[K, H]) Join(k K, maxWaiters int) (f *Flight[K, H], lead bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s, ok := g.flights[k]; ok {
		if !s.admitFollower(maxWaiters) {
			return nil, false, ErrTooManyWaiters
		}
		return &Flight[K, H]{group: g, key: k, shared: s}, false, nil
	}
	return g.start(k, 0), true, nil
}

// start starts a flight. The caller holds the lock.
func (g *Group[K, H]) start(k K, generation int) *Flight[K, H] {
	if g.flights == nil {
		g.flights = make(map[K]*shared[H])
	}
	now := g.clock()
	s := &shared[H]{spool: spool{patience: g.patience(), now: now}, began: now(), generation: generation}
	s.detach = func() { g.remove(k, s) }
	g.flights[k] = s
	return &Flight[K, H]{group: g, key: k, shared: s, lead: true}
}

// Succeed is Join for a follower that no longer wants to wait for f. The first caller leads a new
// flight in place of f, and later callers follow that flight. Callers with a place in f keep it. If
// f has left its group and no other flight has replaced it, next is nil: the response may be
// available now.
func (f *Flight[K, H]) Succeed(maxWaiters int) (next *Flight[K, H], lead bool, err error) {
	g := f.group
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok := g.flights[f.key]
	switch {
	case !ok:
		return nil, false, nil
	case s == f.shared:
		return g.start(f.key, f.generation+1), true, nil
	case !s.admitFollower(maxWaiters):
		return nil, false, ErrTooManyWaiters
	}
	return &Flight[K, H]{group: g, key: f.key, shared: s}, false, nil
}

// Age returns the time since the flight began.
func (f *Flight[K, H]) Age() time.Duration { return f.now().Sub(f.began) }

// Generation returns the number of flights of the key that f has succeeded.
func (f *Flight[K, H]) Generation() int { return f.generation }

// Nudge makes Head return Done to the followers that wait in another flight of k. The caller has
// finished f, and its response may serve them.
func (f *Flight[K, H]) Nudge(k K) {
	f.group.mu.Lock()
	s := f.group.flights[k]
	f.group.mu.Unlock()
	if s == nil || s == f.shared {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nudges++
	s.changed.signal()
}

// Close lets no more callers join f: the next Join starts another flight. Callers with a place in f
// keep it.
func (f *Flight[K, H]) Close() { f.detach() }

// Len returns the number of flights that can be joined.
func (g *Group[K, H]) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.flights)
}

// remove takes s out of the group if it is still the flight of k.
func (g *Group[K, H]) remove(k K, s *shared[H]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.flights[k] == s {
		delete(g.flights, k)
	}
}

func (g *Group[K, H]) patience() time.Duration {
	if g.SlowReader > 0 {
		return g.SlowReader
	}
	return DefaultSlowReader
}

func (g *Group[K, H]) clock() func() time.Time {
	if g.Now != nil {
		return g.Now
	}
	return time.Now
}

// Expect tells f the size that the body is announced to have, so that small bodies take no more
// memory than they need. A size of 0 or less means that it is not known. A body of another size is
// written all the same. Only the leader may call Expect, before its first Write.
func (f *Flight[K, H]) Expect(size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expected = size
}

// Announce declares that the head is final and may be shared, and wakes the followers. keep is the
// number of body bytes that may be retained. Only the leader may call it, once. After End it has no
// effect.
func (f *Flight[K, H]) Announce(h H, keep int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.announced || f.ended {
		return
	}
	f.head, f.keep, f.announced = h, keep, true
	f.lastJoined = f.now()
	f.changed.signal()
}

// Write appends a copy of p to the body. Readers see it when Write returns. If the body exceeds the
// limit of Announce, Write blocks while the slowest reader is more than a window behind, and
// returns ErrAbandoned if there is no reader. End makes a blocked Write return ErrEnded.
func (f *Flight[K, H]) Write(p []byte) (int, error) { return f.spool.write(p) }

// End ends the flight. It removes the flight from its group before it wakes the followers, so that
// a follower that joins again starts another flight. If the flight was announced, Shared or Done
// without an error means that the body is complete. If err is not nil, readers get it instead of
// io.EOF. If the flight was not announced, Head returns o to the followers; Shared would be false
// then and becomes Retry. Only the first End counts.
func (f *Flight[K, H]) End(o Outcome, err error) {
	f.group.remove(f.key, f.shared)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	if f.announced && err == nil && o != Shared && o != Done {
		err = ErrVanished
	}
	if !f.announced && o == Shared {
		o = Retry
	}
	f.outcome = o
	f.finish(err)
}

// Head waits until the head is announced or the flight has ended. If the outcome is Shared, the
// body may be read. If the flight has failed before the call, Head returns the outcome and the
// error of End even if the head was announced: the follower has not sent anything yet and may try
// something else. If ctx ends first, Head returns its cause. After a Nudge it returns Done.
func (f *Flight[K, H]) Head(ctx context.Context) (H, Outcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	nudges := f.nudges
	for !f.announced && !f.ended {
		if err := f.changed.wait(ctx, &f.mu, nil); err != nil {
			var none H
			return none, Retry, err
		}
		if f.nudges != nudges && !f.announced && !f.ended {
			return f.head, Done, nil
		}
	}
	if f.announced && f.err == nil {
		return f.head, Shared, nil
	}
	return f.head, f.outcome, f.err
}

// Reader returns a new cursor on the body at byte 0. It ends with io.EOF only if the leader
// completed the body, and with the leader's error otherwise. If the beginning was dropped, the
// first read returns ErrTooLate. ctx limits Read and WriteTo. The caller must close the Reader.
func (f *Flight[K, H]) Reader(ctx context.Context) *Reader {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.spool.start(ctx, false)
	f.settle()
	return r
}

// Tap is Reader for the leader's own processing of the body, such as compression. Watch does not
// count it.
func (f *Flight[K, H]) Tap(ctx context.Context) *Reader {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.spool.start(ctx, true)
}

// Watch makes f call attend with each change in the number of consumers, which are the followers
// that have not left and the open readers. It calls attend at once with the current number. attend
// runs under the flight's lock, so it must not call the flight. Only the leader may call Watch.
func (f *Flight[K, H]) Watch(attend func(change int)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attend = attend
	f.notifyConsumers(f.followers + f.open)
}

// Leave gives up a follower's place. Its readers must be closed separately. A second call, or a
// call by the leader, has no effect.
func (f *Flight[K, H]) Leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lead || f.left {
		return
	}
	f.left = true
	f.followers--
	f.notifyConsumers(-1)
	f.settle()
}

// settle marks this place as no longer about to read. The caller holds the lock.
func (f *Flight[K, H]) settle() {
	if f.lead || f.opened {
		return
	}
	f.opened = true
	if !f.pendingCutOff {
		f.pending--
	}
	f.room.signal()
}

// Body returns the whole body for storing. Only the leader may call it, after its last Write. whole
// is false if the body exceeded the limit of Announce.
func (f *Flight[K, H]) Body() (segments [][]byte, size int64, whole bool) { return f.spool.body() }

// Waiters returns the number of followers that have joined and not left.
func (f *Flight[K, H]) Waiters() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.followers
}
