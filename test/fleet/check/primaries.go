package check

import (
	"context"
	"sync"
	"time"

	"github.com/penstock/penstock/test/redistest"
)

// watchPrimaries notes when more servers than there should be take themselves for primaries: a
// former primary is one until it hears of its successor, and what it then accepts is lost. That may
// last for some seconds after the fault that caused it, and on a slow machine a fault may cause a
// failover that it should not.
func (w *world) watchPrimaries(ctx context.Context, running *sync.WaitGroup) {
	roles := &roles{believes: make(map[*redistest.Server]bool), most: len(w.redis.Primaries())}
	for _, s := range w.redis.Servers {
		running.Go(func() {
			for ; ctx.Err() == nil; rest(ctx, 20*time.Millisecond) {
				if s.Pid() == 0 {
					w.noteRole(roles, s, false)
				} else if said, err := s.Do("ROLE"); err == nil { // a stopped server stays what it was
					w.noteRole(roles, s, redistest.SaysMaster(said))
				}
			}
		})
	}
}

// roles are the servers that take themselves for primaries.
type roles struct {
	believes map[*redistest.Server]bool
	most     int
	fault    int // index of the one that is under way and 1; 0: there is none
}

// noteRole notes a server's role, and begins or ends a fault by it.
func (w *world) noteRole(r *roles, s *redistest.Server, primary bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.believes[s] = primary
	n := 0
	for _, is := range r.believes {
		if is {
			n++
		}
	}
	switch now := w.now(); {
	case n > r.most && r.fault == 0:
		w.faults = append(w.faults, Fault{"a former primary does not know its successor", now, now + time.Hour, true})
		r.fault = len(w.faults)
	case n <= r.most && r.fault > 0:
		w.faults[r.fault-1].End = now
		r.fault = 0
	}
}
