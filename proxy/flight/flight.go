package flight

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Outcome is how a flight ended, or that its head is known.
type Outcome uint8

const (
	Retry  Outcome = iota // zero value: the leader vanished; a follower may start another flight, once
	Shared                // the head has been announced: the body may be read along
	Done                  // ended well without a body to share (a 304 freshened the stored response): look it up again
	Solo                  // the response is not shareable: each goes on alone
	Failed                // the origin failed and the error is shared
)

var (
	// ErrCrowded is returned by Join when the flight has as many waiters as it may.
	ErrCrowded = errors.New("flight: too many waiters")
	// ErrVanished is what followers get when the leader ended without saying how.
	ErrVanished = errors.New("flight: the leader ended before the body was complete")
	// ErrEnded is returned by Write after End.
	ErrEnded = errors.New("flight: written to after its end")
	// ErrNotAnnounced is returned by Write before Announce.
	ErrNotAnnounced = errors.New("flight: written to before its head was announced")
	// ErrAbandoned is returned by Write when the body is too large to be kept and nobody reads it any more.
	ErrAbandoned = errors.New("flight: too large to be kept, and no reader is left")
	// ErrTooLate is what a reader gets that starts after the beginning of the body was dropped.
	ErrTooLate = errors.New("flight: the beginning of the body is no longer held")
	// ErrSlow is what a reader gets that made no progress while it kept others waiting.
	ErrSlow = errors.New("flight: reader cut off, it made no progress while others waited")
	// ErrClosed is what a reader gets after its Close.
	ErrClosed = errors.New("flight: read after close")
)

// DefaultSlowReader is how long a reader may stand still while others wait, when Group.SlowReader is zero.
const DefaultSlowReader = 5 * time.Second

// Group holds the flights in the air, at most one per key. The zero value is ready for use; its fields are set before the first Join.
type Group[K comparable, H any] struct {
	// SlowReader is how long a reader of a body too large to be kept may stand still while others wait for it; 0 means DefaultSlowReader.
	// A reader that nobody waits for is never cut off.
	SlowReader time.Duration
	// Now is the clock by which progress of readers is measured; nil means time.Now.
	Now func() time.Time

	mu      sync.Mutex
	flights map[K]*shared[H]
}

// shared is what all places of a flight have in common.
type shared[H any] struct {
	spool
	head    H // written once, before spool.announced is set
	outcome Outcome
}

// Flight is one party's place in a flight: the leader's or a follower's. Methods may be called concurrently.
type Flight[K comparable, H any] struct {
	group *Group[K, H]
	key   K
	*shared[H]
	lead bool
	// opened and left are guarded by the spool's lock.
	opened bool // has taken a reader: no longer counted as about to read
	left   bool
}

// Join takes a place in the flight of k, or starts one. With lead the caller must see to it that End is called, whatever happens, and a
// follower must call Leave when it goes. When maxWaiters followers (0: no limit) wait for the head already, it returns ErrCrowded; once the
// head is announced nobody waits and all are welcome.
func (g *Group[K, H]) Join(k K, maxWaiters int) (f *Flight[K, H], lead bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s, ok := g.flights[k]; ok {
		if !s.board(maxWaiters) {
			return nil, false, ErrCrowded
		}
		return &Flight[K, H]{group: g, key: k, shared: s}, false, nil
	}
	if g.flights == nil {
		g.flights = make(map[K]*shared[H])
	}
	s := &shared[H]{spool: spool{patience: g.patience(), now: g.clock()}}
	s.detach = func() { g.remove(k, s) }
	g.flights[k] = s
	return &Flight[K, H]{group: g, key: k, shared: s, lead: true}, true, nil
}

// Close has nobody join f any more: the next who wants to starts another flight. Those who have a place in it keep it.
func (f *Flight[K, H]) Close() { f.detach() }

// Len is the number of flights that can be joined.
func (g *Group[K, H]) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.flights)
}

// remove takes s out of the group, if it is still the flight of k.
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

// Announce says that the head is final and may be shared: followers start at once. keep is how many bytes of the body may be retained.
// It is the leader's to call, once; after End it has no effect.
func (f *Flight[K, H]) Announce(h H, keep int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.announced || f.ended {
		return
	}
	f.head, f.keep, f.announced = h, keep, true
	f.boarded = f.now()
	f.changed.signal()
}

// Write appends a copy of p to the body; readers see it when Write returns. Beyond the bytes to keep it blocks while the slowest reader is
// behind by more than a window, and returns ErrAbandoned when there is none. End makes a blocked Write return ErrEnded.
func (f *Flight[K, H]) Write(p []byte) (int, error) { return f.spool.write(p) }

// End ends the flight: it leaves its group first, so that whoever is woken and joins again starts another, then followers are told.
// After Announce, Shared or Done without an error says that the body is complete; with an error readers get it in place of io.EOF.
// Before Announce, o is what followers get from Head; Shared, which would be false, counts as Retry. The first End counts.
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

// Head waits until the head is announced or the flight has ended. With Shared the body may be read along. A follower that comes after a
// failure gets the outcome and the error of End even if the head had been announced: it has sent nothing yet and may still do better.
// When ctx ends first, its cause is returned.
func (f *Flight[K, H]) Head(ctx context.Context) (H, Outcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.announced && !f.ended {
		if err := f.changed.wait(ctx, &f.mu, nil); err != nil {
			var none H
			return none, Retry, err
		}
	}
	if f.announced && f.err == nil {
		return f.head, Shared, nil
	}
	return f.head, f.outcome, f.err
}

// Reader returns a cursor of its own on the body, from byte 0. It ends with io.EOF only when the leader completed the body, else with the
// leader's error; ErrTooLate comes with the first read when the beginning is no longer held. ctx bounds Read and WriteTo. It must be closed.
func (f *Flight[K, H]) Reader(ctx context.Context) *Reader {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.spool.open(ctx)
	f.settle()
	return r
}

// Leave gives a follower's place back. Readers that it took are closed on their own. Calling it again, or as the leader, has no effect.
func (f *Flight[K, H]) Leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lead || f.left {
		return
	}
	f.left = true
	f.aboard--
	f.settle()
}

// settle ends the time in which this place counts as about to read. The lock is held.
func (f *Flight[K, H]) settle() {
	if f.lead || f.opened {
		return
	}
	f.opened = true
	if !f.expelled {
		f.pending--
	}
	f.room.signal()
}

// Body returns the whole body for keeping: for the leader, after its last Write. whole is false when the body has outgrown the bytes to keep.
func (f *Flight[K, H]) Body() (segments [][]byte, size int64, whole bool) { return f.spool.body() }

// Waiters is the number of followers who have joined and not left.
func (f *Flight[K, H]) Waiters() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.aboard
}
