package upstream

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
)

// Status is the state of a pool, as far as its requests show it.
type Status struct {
	InFlight int // requests that run or wait for a connection
	Targets  []TargetStatus
}

// TargetStatus is how a target is.
type TargetStatus struct {
	URL      string
	Weight   int
	InFlight int
	Requests uint64    // requests that ended, or came to a response
	Failures uint64    // those without an answer
	Failing  bool      // the last request had no response
	FailedAt time.Time // of the last failure; zero: there was no failure
	Error    string    // of the last failure: its kind
}

// record counts the ends of a target's requests.
type record struct {
	requests, failures atomic.Uint64
	failing            atomic.Bool

	mu       sync.Mutex
	failedAt time.Time
	kind     string
}

// note counts a request. If the client left, or the gateway had no open files left, the end says
// nothing about the target.
func (r *record) note(ctx context.Context, err error) {
	switch {
	case err == nil:
		r.requests.Add(1)
		if r.failing.Load() {
			r.failing.Store(false)
		}
		return
	case ctx.Err() != nil, fault.IsNoFiles(err):
		return
	}
	kind := "error"
	if own := (*fault.Error)(nil); errors.As(err, &own) {
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
			URL: t.Name, Weight: t.weight, InFlight: int(t.slots.InFlight.Load()), Requests: t.record.requests.Load(), Failures: t.record.failures.Load(),
			Failing: t.record.failing.Load(),
		}
		t.record.mu.Lock()
		one.FailedAt, one.Error = t.record.failedAt, t.record.kind
		t.record.mu.Unlock()
		s.Targets = append(s.Targets, one)
	}
	return s
}
