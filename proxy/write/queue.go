package write

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Config is what a Queue is made of.
type Config struct {
	Store   Store
	Workers int // calls to upstreams at one time
	// Apply sends a write upstream. again says that it may have been sent before.
	Apply func(ctx context.Context, w *Write, again bool) Outcome
	// Tried is told of each try and how long it took, when the store knows of it; nil: nobody is. It must return quickly.
	Tried  func(r *Record, took time.Duration)
	Now    func() time.Time
	Random func() float64 // in [0,1)
	Log    *slog.Logger
}

// Queue applies what is in a Store. It may be used concurrently.
type Queue struct {
	Config
	slots chan struct{}

	soft, hard     context.Context // ended by Close: no more tries are begun, and those under way are cut off
	ease, cut      context.CancelFunc
	running        sync.WaitGroup
	starting, ends sync.Once
	closed         error
}

// New makes a queue. Nothing is applied before Start. Close ends it, and the store.
func New(c Config) *Queue {
	q := &Queue{Config: c, slots: make(chan struct{}, max(1, c.Workers))}
	q.soft, q.ease = context.WithCancel(context.Background())
	q.hard, q.cut = context.WithCancel(context.Background())
	return q
}

// Start begins to apply what is stored. It does so once.
func (q *Queue) Start() {
	q.starting.Do(func() {
		q.running.Go(func() {
			q.Store.Hold(q.soft, func(ctx context.Context, p Part) { newShift(q, p).run(ctx) })
		})
	})
}

// Close begins no more tries, waits for those under way until ctx is done, and then cuts them off. What was not applied stays stored.
func (q *Queue) Close(ctx context.Context) error {
	q.ends.Do(func() {
		q.starting.Do(func() {}) // it can't be started any more
		q.ease()
		defer q.cut()
		defer context.AfterFunc(ctx, q.cut)()
		q.running.Wait()
		q.closed = q.Store.Close()
	})
	return q.closed
}
