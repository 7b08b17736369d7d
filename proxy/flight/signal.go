package flight

import (
	"context"
	"sync"
	"time"
)

// signal wakes all waiting goroutines. Unlike sync.Cond, it can be waited for together with a
// context: it is a channel that is closed, and that the next waiting goroutine replaces. The zero
// value is ready. All calls must be made under one lock.
type signal struct{ c chan struct{} }

// signal wakes all waiting goroutines.
func (s *signal) signal() {
	if s.c != nil {
		close(s.c)
		s.c = nil
	}
}

// wait releases mu until the next signal, the end of ctx or a tick, and then locks it again. If ctx
// has ended, it returns the cause.
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
