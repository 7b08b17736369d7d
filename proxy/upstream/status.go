package upstream

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Status is how a pool is, as far as its exchanges tell.
type Status struct {
	InFlight int // exchanges that run or wait for a connection
	Targets  []TargetStatus
}

// TargetStatus is how a target is.
type TargetStatus struct {
	URL      string
	Weight   int
	InFlight int
	Requests uint64    // exchanges that ended, or came to an answer
	Failures uint64    // those without an answer
	Failing  bool      // the last one had none
	FailedAt time.Time // of the last failure; zero: there was none
	Error    string    // of the last failure: its kind
}

// record counts what became of a target's exchanges.
type record struct {
	requests, failures atomic.Uint64
	failing            atomic.Bool

	mu       sync.Mutex
	failedAt time.Time
	kind     string
}

// note counts an exchange. What ended because the client left says nothing of the target.
func (r *record) note(ctx context.Context, err error) {
	switch {
	case err == nil:
		r.requests.Add(1)
		if r.failing.Load() {
			r.failing.Store(false)
		}
		return
	case ctx.Err() != nil:
		return
	}
	kind := "error"
	if own := (*Error)(nil); errors.As(err, &own) {
		kind = own.Kind.ProxyStatus()
	}
	r.requests.Add(1)
	r.failures.Add(1)
	r.failing.Store(true)
	r.mu.Lock()
	r.failedAt, r.kind = time.Now(), kind
	r.mu.Unlock()
}

// Status tells how p is.
func (p *Pool) Status() Status {
	s := Status{InFlight: p.InFlight()}
	for _, t := range p.targets {
		one := TargetStatus{
			URL: t.name, Weight: t.weight, InFlight: int(t.inFlight.Load()), Requests: t.record.requests.Load(), Failures: t.record.failures.Load(),
			Failing: t.record.failing.Load(),
		}
		t.record.mu.Lock()
		one.FailedAt, one.Error = t.record.failedAt, t.record.kind
		t.record.mu.Unlock()
		s.Targets = append(s.Targets, one)
	}
	return s
}
