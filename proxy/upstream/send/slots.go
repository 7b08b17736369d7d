package send

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
)

const (
	// lendAfter is how long a call must have waited for its own client before it leaves its slot to
	// another. It is above the pauses of clients that send and read as fast as they can, and too
	// short to be noticed.
	lendAfter = 100 * time.Millisecond
	// lendEvery is how often a request that waits for a slot looks for such a call.
	lendEvery = 25 * time.Millisecond
)

var (
	// ErrBusy says that no connection is free.
	ErrBusy     = errors.New("all connections are in use; raise pool.max or pool.wait")
	errUpgraded = errors.New("as many connections are upgraded as may be; raise pool.upgraded")
)

// Slots bounds the calls to one target. A call counts toward Max, or it stands outside of Max.
// Calls outside take a connection of the target for long, but hardly any of its work: upgraded
// connections, streams, and calls that wait for their clients while others need the slot.
//
// A call that counts stays so until it ends, until its response turns out to last, or until a
// request that finds no slot moves it out because its client neither sends nor reads. It is not
// moved back, since it holds its connection in any case. MaxBeside bounds the calls outside.
type Slots struct {
	Name      string // of the target, for errors
	Max       int    // of counted; 0: no bound
	MaxBeside int    // of the calls outside; 0: no bound

	mu      sync.Mutex
	counted []*Slot
	beside  int
	queue   []*waiter // the first to come first

	InFlight atomic.Int64
	Waiting  atomic.Int64 // the part of InFlight that has no slot yet
}

// Slot is the slot of one call.
type Slot struct {
	of       *Slots
	index    int      // in counted; guarded by Slots.mu
	where    slotKind // guarded by Slots.mu
	keeps    bool     // another slot outside is reserved for the upgrade that the client asked for; guarded by Slots.mu
	answered atomic.Bool
	Sends    atomic.Pointer[SendWait] // of the last try; nil: it sends no body
	Takes    atomic.Int64             // since when the response's body waits to be read
	leaves   sync.Once
}

// SendWait is the wait of a call for the next piece of its client's body. If a client sends a few
// bytes at a time, it never pauses for long, but its call does little else than wait. So a wait
// that closely follows others begins with their time: the time that they took, less the time in
// between, when the target took the bytes. One goroutine reads the body.
type SendWait struct {
	since  atomic.Int64 // when the wait began, in Unix nanoseconds, or so much earlier as earlier ones count; 0: nothing is waited for
	credit int64        // the time that earlier waits add, in nanoseconds
	ended  int64        // when the last wait ended, in Unix nanoseconds
}

// Begin begins a wait.
func (w *SendWait) Begin(now time.Time) {
	at := now.UnixNano()
	w.credit = max(w.credit-(at-w.ended), 0)
	w.since.Store(at - w.credit)
}

// End ends it. No more than lendAfter counts later on, so that a client that has become quick is
// soon taken for it.
func (w *SendWait) End(now time.Time) {
	w.ended = now.UnixNano()
	w.credit = min(w.ended-w.since.Swap(0), int64(lendAfter))
}

type slotKind uint8

const (
	slotNone slotKind = iota
	slotCounted
	slotBeside
)

// Enter waits for a slot. upgrading is true if the call may end in an upgraded connection. Enter
// returns an *Error, or the cause of ctx.
func (s *Slots) Enter(ctx context.Context, wait time.Duration, upgrading bool) (*Slot, error) {
	p := &Slot{of: s, keeps: upgrading}
	if upgrading && !s.reserve() {
		return nil, &fault.Error{Kind: fault.PoolExhausted, Target: s.Name, Err: errUpgraded}
	}
	s.InFlight.Add(1)
	if s.take(p) {
		return p, nil
	}
	if err := s.await(ctx, wait, p); err != nil {
		s.InFlight.Add(-1)
		if upgrading {
			s.release()
		}
		return nil, err
	}
	return p, nil
}

// await waits for a slot for p.
func (s *Slots) await(ctx context.Context, wait time.Duration, p *Slot) error {
	if wait <= 0 {
		return &fault.Error{Kind: fault.PoolExhausted, Target: s.Name, Err: ErrBusy}
	}
	s.Waiting.Add(1)
	defer s.Waiting.Add(-1)
	timer, look := time.NewTimer(wait), time.NewTicker(lendEvery)
	defer timer.Stop()
	defer look.Stop()
	w := s.line(p)
	for {
		var err error
		select {
		case <-w.granted:
			return nil
		case <-look.C:
			s.borrow(time.Now())
			continue
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-timer.C:
			err = &fault.Error{Kind: fault.PoolExhausted, Target: s.Name, Err: fmt.Errorf("no connection within %v: %w", wait, ErrBusy)}
		}
		if s.quit(w) {
			return err
		}
		return nil // the slot was granted at this moment
	}
}

// waiter is a call that waits for its slot.
type waiter struct {
	slot    *Slot
	granted chan struct{} // closed when the slot is counted
}

// take gives p a slot if a slot is free and no call waits for it, or if another call can be moved
// out.
func (s *Slots) take(p *Slot) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Max > 0 && len(s.counted) >= s.Max && (len(s.queue) > 0 || !s.lend(time.Now())) {
		return false
	}
	s.count(p)
	return true
}

// count counts p in max. The lock is held.
func (s *Slots) count(p *Slot) {
	p.where, p.index = slotCounted, len(s.counted)
	s.counted = append(s.counted, p)
}

// borrow moves a call out if another call waits for a slot.
func (s *Slots) borrow(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) > 0 {
		s.lend(now)
	}
}

// lend moves the call out that has waited longest for its client, if there is room outside and the
// wait is long enough. The lock is held.
func (s *Slots) lend(now time.Time) bool {
	if s.full() {
		return false
	}
	var longest *Slot
	since := now.Add(-lendAfter).UnixNano()
	for _, p := range s.counted {
		if at := p.waitsSince(); at != 0 && at <= since {
			longest, since = p, at
		}
	}
	if longest == nil {
		return false
	}
	s.drop(longest)
	longest.where = slotBeside
	s.beside++
	return true
}

func (s *Slots) full() bool { return s.MaxBeside > 0 && s.beside >= s.MaxBeside }

// drop removes p from the counted calls and gives its slot to the first call in the queue. The lock
// is held.
func (s *Slots) drop(p *Slot) {
	last := len(s.counted) - 1
	s.counted[p.index] = s.counted[last]
	s.counted[p.index].index = p.index
	s.counted[last] = nil
	s.counted = s.counted[:last]
	if len(s.queue) > 0 && (s.Max == 0 || len(s.counted) < s.Max) {
		s.grant()
	}
}

// grant counts the first that waits. The lock is held.
func (s *Slots) grant() {
	w := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	s.count(w.slot)
	close(w.granted)
}

// line puts p at the end of the queue.
func (s *Slots) line(p *Slot) *waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &waiter{p, make(chan struct{})}
	s.queue = append(s.queue, w)
	return w
}

// quit removes w from the queue. It reports false if w was granted its slot.
func (s *Slots) quit(w *waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.queue, w)
	if i < 0 {
		return false
	}
	s.queue = slices.Delete(s.queue, i, i+1)
	return true
}

// reserve reserves a slot outside for a connection that may be upgraded.
func (s *Slots) reserve() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full() {
		return false
	}
	s.beside++
	return true
}

// Resize sets how many calls count. It moves no call.
func (s *Slots) Resize(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.Max = limit; len(s.queue) > 0 && (s.Max == 0 || len(s.counted) < s.Max); {
		s.grant()
	}
}

// release gives a slot outside back.
func (s *Slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beside--
}

// Busy is the number of counted calls, and how many of them wait only for their clients.
func (s *Slots) Busy() (counted, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.counted {
		if p.waitsSince() != 0 {
			waiting++
		}
	}
	return len(s.counted), waiting
}

// Beside is the number of slots outside of Max.
func (s *Slots) Beside() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.beside
}

// waitsSince is the time since when the call waits only for its client, in Unix nanoseconds; 0: it
// does not.
func (p *Slot) waitsSince() int64 {
	if p.answered.Load() {
		return p.Takes.Load()
	}
	if w := p.Sends.Load(); w != nil {
		return w.since.Load()
	}
	return 0
}

// Answered notes that the response has begun: lasting says that it is a stream, upgraded that there
// is another protocol from here on.
func (p *Slot) Answered(now time.Time, lasting, upgraded bool) {
	p.Takes.Store(now.UnixNano())
	p.answered.Store(true)
	s := p.of
	if !lasting && !upgraded && !p.keeps {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := p.keeps
	p.keeps = false
	switch {
	case p.where != slotCounted, !upgraded && (!lasting || s.full()):
		if kept {
			s.beside--
		}
		return
	case !kept:
		s.beside++
	}
	s.drop(p)
	p.where = slotBeside
}

// Leave gives the slot back, once.
func (p *Slot) Leave() {
	p.leaves.Do(func() {
		p.of.InFlight.Add(-1)
		s := p.of
		s.mu.Lock()
		defer s.mu.Unlock()
		switch p.where {
		case slotCounted:
			s.drop(p)
		case slotBeside:
			s.beside--
		}
		if p.keeps {
			s.beside--
		}
		p.where, p.keeps = slotNone, false
	})
}
