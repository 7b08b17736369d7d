package write

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"
)

// How long a shift waits before it asks a store again that has failed.
const (
	minAgain = 50 * time.Millisecond
	maxAgain = 2 * time.Second
)

// lane is what is queued for one host and path. Only its first write is under way or waits.
type lane struct {
	key     string
	entries []Entry
	until   time.Time // of the wait
}

// shift is the work on one part. It belongs to one goroutine; the tries run on their own, and report to it.
type shift struct {
	*Queue
	part    Part
	lanes   map[string]*lane
	ready   []*lane
	waiting waiting
	busy    int
	results chan result
}

// result is what came of a try.
type result struct {
	lane *lane
	// next is when the lane goes on with the same write; zero: with the one after it.
	next time.Time
	// lost is set when nobody here may go on with it.
	lost bool
}

func newShift(q *Queue, p Part) *shift {
	return &shift{Queue: q, part: p, lanes: make(map[string]*lane), results: make(chan result)}
}

// run works until ctx ends, and then waits for the tries under way.
func (s *shift) run(ctx context.Context) {
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

// read hands on what is queued until ctx ends.
func (s *shift) read(ctx context.Context, incoming chan<- []Entry) {
	pause := minAgain
	for ctx.Err() == nil {
		entries, err := s.part.Next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.Log.Debug("reading the queue of writes failed", "error", err)
			}
			sleep(ctx, pause)
			pause = min(2*pause, maxAgain)
			continue
		}
		pause = minAgain
		select {
		case incoming <- entries:
		case <-ctx.Done():
		}
	}
}

// step waits for one thing to happen, and acts on it.
func (s *shift) step(ctx context.Context, incoming <-chan []Entry) {
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

// enter puts an entry at the end of its lane.
func (s *shift) enter(e Entry) {
	l := s.lanes[e.Lane]
	if l == nil {
		l = &lane{key: e.Lane}
		s.lanes[e.Lane] = l
	}
	if l.entries = append(l.entries, e); len(l.entries) == 1 {
		s.ready = append(s.ready, l)
	}
}

// begin tries the first write of the lane that has been ready for the longest time, in the slot that was taken for it.
func (s *shift) begin() {
	l := s.ready[0]
	s.ready = s.ready[1:]
	s.busy++
	e := l.entries[0]
	go func() { // ends with the try; run waits for it
		r := s.try(e)
		<-s.slots
		r.lane = l
		s.results <- r
	}()
}

// finish puts a lane where it belongs after a try.
func (s *shift) finish(r result) {
	s.busy--
	l := r.lane
	switch {
	case r.lost:
		// It is for whoever holds the part now. What is behind it in the lane must not overtake it.
	case !r.next.IsZero():
		l.entries[0].Again = true
		l.until = r.next
		heap.Push(&s.waiting, l)
	case len(l.entries) == 1:
		delete(s.lanes, l.key)
	default:
		l.entries = l.entries[1:]
		s.ready = append(s.ready, l)
	}
}

// wake makes the lanes ready whose wait is over.
func (s *shift) wake() {
	for now := s.Now(); len(s.waiting) > 0 && !s.waiting[0].until.After(now); {
		s.ready = append(s.ready, heap.Pop(&s.waiting).(*lane))
	}
}

// try sends the write of an entry upstream, and has the store note what came of it.
func (s *shift) try(e Entry) result {
	ctx, cancel := context.WithCancel(s.part.Held())
	defer cancel()
	defer context.AfterFunc(s.hard, cancel)()
	r, err := s.part.Load(ctx, e)
	switch {
	case errors.Is(err, ErrUnknown):
		s.Log.Warn("a queued write is not there any more", "id", e.ID)
		return s.note(func(ctx context.Context) error { return s.part.Remove(ctx, e) })
	case err != nil && ctx.Err() != nil:
		return result{lost: true}
	case err != nil:
		s.Log.Debug("loading a queued write failed", "id", e.ID, "error", err)
		return result{next: s.Now().Add(maxAgain)}
	case r.Next.After(s.Now()):
		return result{next: r.Next}
	}
	began := time.Now() // a length of time
	out := s.Apply(ctx, r.Write, e.Again || r.Tries > 0)
	if out.Err != nil && ctx.Err() != nil {
		return result{lost: true} // cut off: it says nothing of the upstream
	}
	r.State = r.Policy.settle(r.State, out, e.Again || r.Tries > 0, s.Now(), s.Random())
	noted := s.note(func(ctx context.Context) error { return s.part.Put(ctx, e, r) })
	if noted.lost {
		return noted
	}
	s.told(r, time.Since(began))
	return result{next: r.Next}
}

// told makes known what has become of a write.
func (s *shift) told(r *Record, took time.Duration) {
	if r.Phase == Dead {
		s.Log.Warn("a write could not be applied", "id", r.ID, "route", r.Route, "method", r.Method, "kept", r.Policy.DeadLetter, "reason", r.Reason)
	}
	if s.Tried != nil {
		s.Tried(r, took)
	}
}

// note has the store take note of something, for as long as the part is held: what comes next in the lane must not be sent before.
func (s *shift) note(f func(context.Context) error) result {
	ctx := s.part.Held()
	for pause := minAgain; ; pause = min(2*pause, maxAgain) {
		err := f(ctx)
		switch {
		case err == nil:
			return result{}
		case errors.Is(err, ErrLost), ctx.Err() != nil, s.hard.Err() != nil:
			return result{lost: true}
		}
		s.Log.Warn("what has become of a write can't be noted; trying again", "error", err)
		sleep(ctx, pause)
	}
}

// waiting is a heap of lanes by the end of their wait.
type waiting []*lane

func (w waiting) Len() int           { return len(w) }
func (w waiting) Less(i, j int) bool { return w[i].until.Before(w[j].until) }
func (w waiting) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }

// Push is for the heap.
func (w *waiting) Push(x any) { *w = append(*w, x.(*lane)) }

// Pop is for the heap.
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
