package write

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Config configures a Queue.
type Config struct {
	Store   Store
	Workers int // maximum number of concurrent upstream requests
	// Apply sends a write upstream. again is true if the write may have been sent before.
	Apply func(ctx context.Context, w *Write, again bool) Outcome
	// Tried is called after each attempt with its duration, once the store has recorded the result.
	// It must return quickly. It may be nil.
	Tried  func(r *Record, took time.Duration)
	Now    func() time.Time
	Random func() float64 // in [0,1)
	Log    *slog.Logger
}

// Queue applies the writes of a Store. It may be used concurrently.
type Queue struct {
	Config
	slots chan struct{}

	soft, hard     context.Context // cancelled by Close: soft stops new attempts, hard aborts running ones
	ease, cut      context.CancelFunc
	running        sync.WaitGroup
	starting, ends sync.Once
	closed         error
}

// New returns a queue. It applies nothing before Start. Close ends the queue and its store.
func New(c Config) *Queue {
	q := &Queue{Config: c, slots: make(chan struct{}, max(1, c.Workers))}
	q.soft, q.ease = context.WithCancel(context.Background())
	q.hard, q.cut = context.WithCancel(context.Background())
	return q
}

// Start starts to apply the stored writes. Only the first call has an effect.
func (q *Queue) Start() {
	q.starting.Do(func() {
		q.running.Go(func() {
			q.Store.Hold(q.soft, func(ctx context.Context, p Part) { newPartWorker(q, p).run(ctx) })
		})
	})
}

// Close stops new attempts, waits for the running ones until ctx is done, and then aborts them.
// Writes that were not applied stay stored.
func (q *Queue) Close(ctx context.Context) error {
	q.ends.Do(func() {
		q.starting.Do(func() {}) // Start has no effect from now on
		q.ease()
		defer q.cut()
		defer context.AfterFunc(ctx, q.cut)()
		q.running.Wait()
		q.closed = q.Store.Close()
	})
	return q.closed
}
