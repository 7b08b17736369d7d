package fill

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed says that no new task begins because the tasks are closed.
var ErrClosed = errors.New("the gateway is shutting down")

// Tasks are the goroutines of a cache that belong to no client: fills, refreshes and codings. It may
// be used concurrently.
type Tasks struct {
	base    context.Context // the parent of the contexts of all tasks
	stop    context.CancelFunc
	mu      sync.Mutex // guards closed against new tasks
	closed  bool
	running sync.WaitGroup
}

// NewTasks returns Tasks. The caller must call Close.
func NewTasks() *Tasks {
	base, stop := context.WithCancel(context.Background())
	return &Tasks{base: base, stop: stop}
}

// enter announces work for which Close waits. If it returns true, the caller must call running.Done
// at the end of the work. It returns false once the tasks are closed.
func (t *Tasks) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.running.Add(1)
	}
	return !t.closed
}

// Go runs f on a goroutine for which Close waits. Once the tasks are closed it does nothing
// and returns false.
func (t *Tasks) Go(f func(ctx context.Context)) bool {
	if !t.enter() {
		return false
	}
	go func() {
		defer t.running.Done()
		f(t.base)
	}()
	return true
}

// Close waits for the tasks to end until ctx is done, then cancels the rest and waits for them. It
// returns ctx.Err() if it had to cancel.
func (t *Tasks) Close(ctx context.Context) error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	ended := make(chan struct{})
	go func() { t.running.Wait(); close(ended) }()
	defer t.stop()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		t.stop()
		<-ended
		return ctx.Err()
	}
}
