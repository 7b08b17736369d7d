package flight

import (
	"context"
	"sync"
	"time"
)

// signal wakes all who wait for a change, and can be waited for together with a context: a channel that is closed, and replaced by the next
// who waits. The zero value is ready; all use is under one lock.
type signal struct{ c chan struct{} }

// signal wakes everybody who waits.
func (s *signal) signal() {
	if s.c != nil {
		close(s.c)
		s.c = nil
	}
}

// wait gives mu up until the next signal, the end of ctx or a tick, and takes it again. It returns the cause of the end of ctx.
func (s *signal) wait(ctx context.Context, mu *sync.Mutex, tick <-chan time.Time) error {
	if s.c == nil {
		s.c = make(chan struct{})
	}
	c := s.c
	mu.Unlock()
	defer mu.Lock()
	select {
	case <-c:
		return nil
	case <-tick:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
