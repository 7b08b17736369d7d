package pools

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// reachTime bounds how long a probe of readiness waits for an upstream.
	reachTime = time.Second
	// reachHolds is how long a probe uses the result of an earlier one. Probes need no token, so it
	// also bounds how often they make the gateway connect to an upstream.
	reachHolds = 500 * time.Millisecond
)

var errNoUpstream = errors.New("the configuration has no such upstream")

// Reach returns nil if a target of the upstream accepts connections. Results are shared for a
// moment, so that many calls do not cause as many connections.
func (s *Set) Reach(ctx context.Context, name string) error {
	p := s.Running()[name]
	if p == nil {
		return errNoUpstream
	}
	return s.reach.of(ctx, name, p, s.now)
}

// reachability finds out whether upstreams accept connections.
type reachability struct {
	calls singleflight.Group
	mu    sync.Mutex
	last  map[string]reached // by upstream; its size is bounded by the configurations that have run
}

// reached is the result of trying to reach an upstream.
type reached struct {
	pool *Pool
	err  error
	at   time.Time
}

// of returns nil if a target of the pool accepts connections, and otherwise the error of the
// attempt.
func (r *reachability) of(ctx context.Context, name string, p *Pool, now func() time.Time) error {
	r.mu.Lock()
	last, ok := r.last[name]
	r.mu.Unlock()
	if ok && last.pool == p && now().Sub(last.at) < reachHolds {
		return last.err
	}
	call := r.calls.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), reachTime) // other probes wait for it too, so the end of one probe must not cancel it
		defer cancel()
		err := p.Reach(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.last == nil {
			r.last = make(map[string]reached)
		}
		r.last[name] = reached{p, err, now()}
		return nil, err
	})
	select {
	case done := <-call:
		return done.Err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
