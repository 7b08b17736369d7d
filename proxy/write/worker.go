package write

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"
)

// Pauses before a failed call to the store is repeated.
const (
	minPause = 50 * time.Millisecond
	maxPause = 2 * time.Second
)

// lane holds the queued writes of one lane. Only its first write is in progress or waits.
type lane struct {
	key     string
	entries []Entry
	until   time.Time // end of the wait
	anew    bool      // the store has returned the first entry once more
}

// partWorker works on one part. It belongs to one goroutine. Attempts run in goroutines of their
// own and report to it.
type partWorker struct {
	*Queue
	part    Part
	lanes   map[string]*lane
	places  map[string]bool // of all entries in lanes
	ready   []*lane
	waiting waiting
	busy    int
	results chan result
}

// result is the result of an attempt.
type result struct {
	lane *lane
	// next is the time of the next attempt of the same write. If it is zero, the lane continues
	// with the next write.
	next time.Time
	// lost is true if this instance must not continue with the lane.
	lost bool
}

func newPartWorker(q *Queue, p Part) *partWorker {
	return &partWorker{Queue: q, part: p, lanes: make(map[string]*lane), places: make(map[string]bool), results: make(chan result)}
}

// run works until ctx ends, and then waits for the running attempts.
func (s *partWorker) run(ctx context.Context) {
	incoming := make(chan []Entry)
	var reading sync.WaitGroup
	reading.Go(func() { s.read(ctx, incoming) })
	for ctx.Err() == nil {
		s.step(ctx, incoming)
	}
	for s.busy > 0 {
		s.finish(<-s.results)
	}
	reading.Wait()
}

// read delivers queued entries until ctx ends.
func (s *partWorker) read(ctx context.Context, incoming chan<- []Entry) {
	pause := minPause
	for ctx.Err() == nil {
		entries, err := s.part.Next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.Log.Debug("reading the queue of writes failed", "error", err)
			}
			sleep(ctx, pause)
			pause = min(2*pause, maxPause)
			continue
		}
		pause = minPause
		select {
		case incoming <- entries:
		case <-ctx.Done():
		}
	}
}

// step waits for one event and handles it.
func (s *partWorker) step(ctx context.Context, incoming <-chan []Entry) {
	var slots chan<- struct{}
	if len(s.ready) > 0 {
		slots = s.slots
	}
	var alarm <-chan time.Time
	if len(s.waiting) > 0 {
		timer := time.NewTimer(s.waiting[0].until.Sub(s.Now()))
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case entries := <-incoming:
		for _, e := range entries {
			s.enter(e)
		}
	case slots <- struct{}{}:
		s.begin()
	case r := <-s.results:
		s.finish(r)
	case <-alarm:
		s.wake()
	case <-ctx.Done():
	}
}

// enter appends an entry to its lane, unless the lane has it. The store may have gone back to a
// time at which the first entry was not settled, so that one is then attempted once more.
func (s *partWorker) enter(e Entry) {
	l := s.lanes[e.Lane]
	if s.places[e.Place] {
		l.anew = l.anew || l.entries[0].Place == e.Place
		return
	}
	s.places[e.Place] = true
	if l == nil {
		l = &lane{key: e.Lane}
		s.lanes[e.Lane] = l
	}
	if l.entries = append(l.entries, e); len(l.entries) == 1 {
		s.ready = append(s.ready, l)
	}
}

// begin attempts the first write of the lane that has been ready for the longest time. The caller
// has taken the slot for it.
func (s *partWorker) begin() {
	l := s.ready[0]
	s.ready = s.ready[1:]
	s.busy++
	e := l.entries[0]
	go func() { // ends with the attempt; run waits for it
		r := s.attempt(e)
		<-s.slots
		r.lane = l
		s.results <- r
	}()
}

// finish updates a lane after an attempt.
func (s *partWorker) finish(r result) {
	s.busy--
	l := r.lane
	switch {
	case r.lost:
		// The current holder of the part continues with the write. Later writes of the lane must
		// not overtake it, so the lane stops here.
	case !r.next.IsZero():
		l.entries[0].Again = true
		l.until = r.next
		heap.Push(&s.waiting, l)
	case l.anew:
		l.anew, l.entries[0].Again = false, true
		s.ready = append(s.ready, l)
	default:
		s.leave(l)
	}
}

// leave removes the first entry of a lane, which is settled.
func (s *partWorker) leave(l *lane) {
	delete(s.places, l.entries[0].Place)
	if l.entries = l.entries[1:]; len(l.entries) == 0 {
		delete(s.lanes, l.key)
		return
	}
	s.ready = append(s.ready, l)
}

// wake makes the lanes ready whose wait has ended.
func (s *partWorker) wake() {
	for now := s.Now(); len(s.waiting) > 0 && !s.waiting[0].until.After(now); {
		s.ready = append(s.ready, heap.Pop(&s.waiting).(*lane))
	}
}

// attempt sends the write of an entry upstream and records the result in the store.
func (s *partWorker) attempt(e Entry) result {
	ctx, cancel := context.WithCancel(s.part.Held())
	defer cancel()
	defer context.AfterFunc(s.hard, cancel)()
	r, err := s.part.Load(ctx, e)
	switch {
	case errors.Is(err, ErrUnknown), errors.Is(err, ErrDamaged) && !isBroken(s.Store):
		s.Log.Error("an acknowledged write is lost; it is set aside, and its lane continues", "id", e.ID, "error", err)
		return s.record(func(ctx context.Context) error { return s.part.Lose(ctx, e) })
	case err != nil && ctx.Err() != nil:
		return result{lost: true}
	case err != nil:
		s.Log.Debug("loading a queued write failed", "id", e.ID, "error", err)
		return result{next: s.Now().Add(maxPause)}
	case r.Ended(): // the write has ended, but its entry was left behind
		return s.record(func(ctx context.Context) error { return s.part.Lose(ctx, e) })
	case r.State.waits(s.Now()):
		return result{next: r.Next}
	}
	began := time.Now() // for a duration, so the real clock is used
	out := s.Apply(ctx, r.Write, e.Again || r.Tries > 0)
	if out.Err != nil && ctx.Err() != nil {
		return result{lost: true} // aborted, which says nothing about the upstream
	}
	r.State = r.Policy.settle(r.State, out, e.Again || r.Tries > 0, s.Now(), s.Random())
	recorded := s.record(func(ctx context.Context) error { return s.part.Put(ctx, e, r) })
	if recorded.lost {
		return recorded
	}
	s.report(r, time.Since(began))
	return result{next: r.Next}
}

// isBroken reports whether the store as a whole has failed, and not a single write.
func isBroken(s Store) bool {
	b, ok := s.(interface{ Broken() error })
	return ok && b.Broken() != nil
}

// report reports the result of an attempt.
func (s *partWorker) report(r *Record, took time.Duration) {
	if r.Phase == Dead {
		s.Log.Warn("a write can't be applied", "id", r.ID, "route", r.Route, "method", r.Method, "kept", r.Policy.DeadLetter, "reason", r.Reason)
	}
	if s.Tried != nil {
		s.Tried(r, took)
	}
}

// record repeats f, which records a result in the store, until it succeeds or the part is lost. The
// next write of the lane must not be sent before.
func (s *partWorker) record(f func(context.Context) error) result {
	ctx := s.part.Held()
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		err := f(ctx)
		switch {
		case err == nil:
			return result{}
		case errors.Is(err, ErrLost), ctx.Err() != nil, s.hard.Err() != nil:
			return result{lost: true}
		}
		s.Log.Warn("recording the result of a write failed; it is repeated", "error", err)
		sleep(ctx, pause)
	}
}

// waiting is a heap of lanes by the end of their wait.
type waiting []*lane

func (w waiting) Len() int           { return len(w) }
func (w waiting) Less(i, j int) bool { return w[i].until.Before(w[j].until) }
func (w waiting) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }

// Push implements heap.Interface.
func (w *waiting) Push(x any) { *w = append(*w, x.(*lane)) }

// Pop implements heap.Interface.
func (w *waiting) Pop() any {
	old := *w
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*w = old[:len(old)-1]
	return last
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
